//! A byte-wise, obvious version of everything the crate does word-wise.
#![allow(dead_code)]

use guest_core::{
    Digest,
    sha::{Block, Compress},
};
use sha2::{Digest as _, Sha256};

/// The compression function of `sha2`, behind the interface the guests use.
pub struct Host;

impl Compress for Host {
    fn compress(after: &mut Digest, state: &Digest, blocks: &[Block]) {
        *after = *state;
        Self::advance(after, blocks);
    }

    fn advance(state: &mut Digest, blocks: &[Block]) {
        let mut words = state.map(u32::swap_bytes);
        for block in blocks {
            let mut bytes = [0u8; 64];
            for (chunk, word) in bytes.chunks_exact_mut(4).zip(block) {
                chunk.copy_from_slice(&word.to_le_bytes());
            }
            sha2::compress256(&mut words, &[bytes.into()]);
        }
        *state = words.map(u32::swap_bytes);
    }
}

pub fn to_digest(bytes: &[u8]) -> Digest {
    let mut digest = [0; 8];
    assert_eq!(bytes.len(), 32);
    for (word, chunk) in digest.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_le_bytes(chunk.try_into().unwrap());
    }
    digest
}

pub fn to_bytes(digest: &[u32]) -> Vec<u8> {
    digest.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub fn sha256(parts: &[&[u8]]) -> Vec<u8> {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().to_vec()
}

/// Whole words, then the rest as a word whose unused bytes are garbage, and their number.
pub fn words(bytes: &[u8]) -> (Vec<u32>, u32, u32) {
    let whole = bytes.chunks_exact(4);
    let mut rest = [0xa5u8; 4];
    let tail = whole.remainder();
    rest[..tail.len()].copy_from_slice(tail);
    let words = whole
        .map(|chunk| u32::from_le_bytes(chunk.try_into().unwrap()))
        .collect();
    (words, u32::from_le_bytes(rest), tail.len() as u32)
}

/// `MTH` of RFC 6962, section 2.1, as it is written there, over hashed leaves.
pub fn mth(leaves: &[Vec<u8>]) -> Vec<u8> {
    match leaves {
        [] => panic!("the batch tree has no empty case"),
        [leaf] => leaf.clone(),
        _ => {
            let mut k = 1;
            while 2 * k < leaves.len() {
                k *= 2;
            }
            sha256(&[&[1], &mth(&leaves[..k]), &mth(&leaves[k..])])
        }
    }
}
