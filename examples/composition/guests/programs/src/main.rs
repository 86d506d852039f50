//! Reads the image id of a program and two numbers, verifies that the program has committed each of
//! them, and commits the image id and their sum.

use risc0_zkvm::{guest::env, Digest};

fn main() {
    let (program, a, b): (Digest, u64, u64) = env::read();
    for number in [a, b] {
        env::verify(program, &number.to_le_bytes()).unwrap();
    }
    env::commit_slice(program.as_bytes());
    env::commit_slice(&a.checked_add(b).expect("the sum has 64 bits").to_le_bytes());
}
