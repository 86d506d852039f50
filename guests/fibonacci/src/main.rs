//! Input: one word, n. Journal: the n-th Fibonacci number, a `u64`.
#![no_std]
#![no_main]

use guest_core::fibonacci::fibonacci;
use guest_rt::{Env, entry, fail};

entry!(main);

fn main(env: &mut Env) -> ! {
    let Some(result) = fibonacci(env.word()) else {
        fail("fibonacci: n is above 93, the result does not fit into 64 bits")
    };
    env.commit(&[result as u32, (result >> 32) as u32])
}
