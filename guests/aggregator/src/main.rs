//! Verifies every child and commits the number of leaves below it and the tree hash over them.
//!
//! Input: its own image id (8 words), the number of children (1), then for every child its image id
//! (8), its journal's length in bytes (1) and the journal, padded to whole words.
//! Journal: an `AggregationResult`, 68 bytes.
#![no_std]
#![no_main]

use guest_core::{
    journal::{self, AggregationResult},
    merkle::{Tree, leaf_hasher},
    sha::Plain,
};
use guest_rt::{Circuit, Env, Verifier, entry, fail};

entry!(main);

fn main(env: &mut Env) -> ! {
    let self_image_id = env.digest();
    let children = env.word();
    let mut verified_count = 0u32;
    let mut verifier = Verifier::new();
    let mut tree = Tree::new();

    for _ in 0..children {
        let image_id = env.digest();
        let length = env.word();

        let rest = length % 4;
        let mut tail = 0;
        let mut digest = Plain::<Circuit>::new();
        let (count, node) = if image_id == self_image_id {
            // An aggregate: its root takes a leaf's place, so the hash covers what lies below it.
            if length != journal::BYTES {
                fail("aggregator: an aggregate's journal must have 68 bytes");
            }
            let mut words = [0; journal::WORDS];
            env.read_small(&mut words);
            digest.update(&words);
            let child = AggregationResult::decode(&words);
            // Only a child that was told the same identity applied these same rules to its children.
            if child.self_image_id != self_image_id {
                fail("aggregator: an aggregate names another program as its own");
            }
            (child.verified_count, child.combined_hash)
        } else {
            // Any other program: a leaf. Its journal may have any length, so it is not kept; its
            // digest and its leaf hash are taken in one pass.
            let mut leaf = leaf_hasher::<Circuit>(&image_id);
            let mut left = (length / 4) as usize;
            while left > 0 {
                let words = env.some(left);
                digest.update(words);
                leaf.update(words);
                left -= words.len();
            }
            if rest != 0 {
                tail = env.word();
            }
            (1, leaf.finish(tail, rest))
        };
        verifier.verify(&image_id, &digest.finish(tail, rest));

        let Some(sum) = verified_count.checked_add(count) else {
            fail("aggregator: more leaves than a 32-bit count holds")
        };
        verified_count = sum;
        if tree.push::<Circuit>(node).is_none() {
            fail("aggregator: more than 4095 children");
        }
    }

    let Some(combined_hash) = tree.root::<Circuit>() else {
        fail("aggregator: there is nothing to aggregate")
    };
    log_progress(env, children, verified_count);
    env.commit_verified(
        &verifier,
        &AggregationResult {
            self_image_id,
            verified_count,
            combined_hash,
        }
        .encode(),
    )
}

/// A log line of whole words, so that it is copied by the word.
#[repr(align(4))]
struct Line([u8; 60]);

/// "aggregator verified: children=0x00000003, leaves=0x00000003.", without the formatting code.
fn log_progress(env: &Env, children: u32, leaves: u32) {
    let mut line = Line(*b"aggregator verified: children=0x00000000, leaves=0x00000000.");
    hex(&mut line.0[32..40], children);
    hex(&mut line.0[51..59], leaves);
    // SAFETY: ASCII throughout.
    env.log(unsafe { core::str::from_utf8_unchecked(&line.0) });
}

#[inline(never)]
fn hex(digits: &mut [u8], mut number: u32) {
    // Leading zeros are there already; stopping at the last digit also keeps the loop a loop.
    let mut place = digits.iter_mut().rev();
    while let (true, Some(digit)) = (number != 0, place.next()) {
        let nibble = (number & 15) as u8;
        *digit = nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
        number >>= 4;
    }
}
