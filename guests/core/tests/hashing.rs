//! The word-wise hasher against `sha2`, for every length around the block boundaries.

mod common;

use common::{Host, sha256, to_bytes, words};
use guest_core::sha::{Block, Compress, INIT, Plain, Prefixed, compress_const, digest_const};

fn message(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + len) as u8).collect()
}

#[test]
fn every_length_with_and_without_a_prefix() {
    for len in 0..300 {
        let bytes = message(len);
        let (whole, tail, tail_bytes) = words(&bytes);

        let mut hasher = Plain::<Host>::new();
        hasher.update(&whole);
        assert_eq!(
            to_bytes(&hasher.finish(tail, tail_bytes)),
            sha256(&[&bytes]),
            "{len}"
        );

        for prefix in [0u8, 1, 0xff] {
            let mut hasher = Prefixed::<Host>::new(prefix);
            hasher.update(&whole);
            let digest = hasher.finish(tail, tail_bytes);
            assert_eq!(
                to_bytes(&digest),
                sha256(&[&[prefix], &bytes]),
                "{len} {prefix}"
            );
        }
    }
}

#[test]
fn whole_blocks() {
    for blocks in 0..4 {
        for rest in 0..70 {
            let bytes = message(64 * blocks + rest);
            let (whole, tail, tail_bytes) = words(&bytes);
            let (head, tail_words) = whole.split_at(16 * blocks);
            let head: Vec<Block> = head
                .chunks(16)
                .map(|block| block.try_into().unwrap())
                .collect();
            let mut hasher = Plain::<Host>::new();
            hasher.update_blocks(&head);
            hasher.update(tail_words);
            assert_eq!(
                to_bytes(&hasher.finish(tail, tail_bytes)),
                sha256(&[&bytes])
            );
        }
    }
}

#[test]
fn constants_are_worked_out_right() {
    for len in 0..=55 {
        let bytes = message(len);
        assert_eq!(to_bytes(&digest_const(&bytes)), sha256(&[&bytes]), "{len}");
    }
    let block = core::array::from_fn(|i| 0x0123_4567u32.wrapping_mul(i as u32 + 1));
    assert_eq!(compress_const(INIT, &block), Host::digest(&INIT, &[block]));
}
