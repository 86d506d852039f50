//! Reads n, and commits n and the n-th Fibonacci number modulo 7919.

use risc0_zkvm::guest::env;

fn main() {
    let n: u32 = env::read();
    let value = public_comparison::fibonacci(n);
    env::commit_slice(&[n.to_le_bytes(), value.to_le_bytes()].concat());
}
