//! Reads a key, a message and a signature, and commits the key and the message if the signature
//! holds. The journal is padded to whole words.
#![no_std]
#![no_main]

use guest_rt::{Env, entry, fail};
use public_comparison::{Words, journal, signed};

entry!(main);

fn main(env: &mut Env) -> ! {
    let [key, message, signature] = [(); 3].map(|()| Words::field(|| env.word()));
    if !signed(key.bytes(), message.bytes(), signature.bytes()) {
        fail("the signature does not hold");
    }
    env.commit(&journal(&[key.bytes(), message.bytes()]))
}
