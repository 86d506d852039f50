//! The guest: it reads a number and commits its square.

use risc0_zkvm::guest::env;

fn main() {
    let n: u32 = env::read();
    env::commit_slice(&square::square(n).to_le_bytes());
}
