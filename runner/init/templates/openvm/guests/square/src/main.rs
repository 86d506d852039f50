//! The guest: it reads a number and commits its square, as two words.
#![no_std]
#![no_main]

use guest_rt::{Env, entry};

entry!(main);

fn main(env: &mut Env) -> ! {
    let square = square::square(env.word());
    env.commit(&[square as u32, (square >> 32) as u32])
}
