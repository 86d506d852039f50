//! What the programs compute. Nothing here knows the zkVM: a program brings the hash function that
//! is fastest where it runs, and reads its input and commits its journal in its own way.
#![no_std]

extern crate alloc;

mod words;

pub mod transfers;

pub use words::{Words, journal};

use k256::ecdsa::{Signature, VerifyingKey, signature::Verifier};

/// The SHA-256 digest of a byte string.
pub type Sha256 = fn(&[u8]) -> [u8; 32];

/// The modulus of [`fibonacci`], which is a prime.
pub const MODULUS: u32 = 7919;

/// The n-th Fibonacci number modulo [`MODULUS`], by n additions. The numbers 0 and 1 stand for
/// themselves.
pub fn fibonacci(n: u32) -> u32 {
    let (mut a, mut b) = (0, 1);
    for _ in 0..n {
        (a, b) = (b, (a + b) % MODULUS);
    }
    a
}

/// Whether a signature by ECDSA over secp256k1 holds, for the SHA-256 digest of the message.
///
/// The key has 33 bytes (compressed, SEC 1) and the signature 64, r and s.
pub fn signed(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (
        VerifyingKey::from_sec1_bytes(key),
        Signature::from_slice(signature),
    ) else {
        return false;
    };
    key.verify(message, &signature).is_ok()
}

/// The bytes of a field of type `bytes`: their length as a word, and the bytes, padded to whole words.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// The next field. A program ends with an error if it is not whole.
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = self.word() as usize;
        let (bytes, rest) = self.0.split_at(length.next_multiple_of(4));
        self.0 = rest;
        &bytes[..length]
    }

    /// The next word.
    pub fn word(&mut self) -> u32 {
        let (word, rest) = self.0.split_first_chunk().expect("the input ends early");
        self.0 = rest;
        u32::from_le_bytes(*word)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn fibonacci_numbers_are_known() {
        assert_eq!([0, 1, 2, 10].map(fibonacci), [0, 1, 1, 55]);
        // 6765 is below the modulus, and 10946 is above it.
        assert_eq!([20, 21].map(fibonacci), [6765, 10946 - MODULUS]);
    }

    #[test]
    fn a_known_signature_holds_for_its_message_alone() {
        // The key of the secret 1 is the curve's base point (SEC 2), and the signature is by RFC 6979.
        let key = hex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
        let mut signature = hex(concat!(
            "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8",
            "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"
        ));
        assert!(signed(&key, b"Satoshi Nakamoto", &signature));
        assert!(!signed(&key, b"Satoshi Nakamota", &signature));
        signature[40] ^= 1;
        assert!(!signed(&key, b"Satoshi Nakamoto", &signature));
        assert!(!signed(&key[1..], b"", &signature));
    }

    #[test]
    fn fields_are_padded_to_whole_words() {
        let mut fields = Fields(&[1, 0, 0, 0, 9, 7, 7, 7, 5, 0, 0, 0]);
        assert_eq!(fields.bytes(), [9]);
        assert_eq!(fields.word(), 5);
        assert!(fields.0.is_empty());
    }
}
