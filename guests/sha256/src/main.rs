//! Input: one word, the length in bytes, then the bytes, padded to whole words. Journal: the digest.
#![no_std]
#![no_main]

use guest_core::sha::{Block, Plain};
use guest_rt::{Circuit, Env, entry};

/// Blocks read and hashed at once: a page, which is also the most one system call moves.
const BLOCKS: usize = 16;

entry!(main);

fn main(env: &mut Env) -> ! {
    let length = env.word();
    let (mut words, rest) = ((length / 4) as usize, length % 4);
    let mut hasher = Plain::<Circuit>::new();

    if words >= 16 {
        let mut page: [Block; BLOCKS] = [[0; 16]; BLOCKS];
        while words >= 16 {
            let blocks = &mut page[..(words / 16).min(BLOCKS)];
            env.read(blocks.as_flattened_mut());
            hasher.update_blocks(blocks);
            words -= 16 * blocks.len();
        }
    }
    for _ in 0..words {
        hasher.update(&[env.word()]);
    }
    let tail = if rest == 0 { 0 } else { env.word() };
    env.commit(&hasher.finish(tail, rest))
}
