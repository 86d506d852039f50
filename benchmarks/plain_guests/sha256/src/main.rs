use risc0_zkvm::{
    guest::env,
    sha::{Impl, Sha256},
};

fn main() {
    let message: Vec<u8> = env::read();
    env::commit_slice(Impl::hash_bytes(&message).as_bytes());
}
