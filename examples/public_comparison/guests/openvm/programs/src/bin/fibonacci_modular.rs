//! Reads n, and commits n and the n-th Fibonacci number modulo 7919.
#![no_std]
#![no_main]

use guest_rt::{Env, entry};

entry!(main);

fn main(env: &mut Env) -> ! {
    let n = env.word();
    env.commit(&[n, public_comparison::fibonacci(n)])
}
