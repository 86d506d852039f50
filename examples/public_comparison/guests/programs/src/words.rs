//! Byte strings for a zkVM whose input and journal are words.

use alloc::vec::Vec;

/// A byte string that was read as words.
pub struct Words {
    words: Vec<u32>,
    length: usize,
}

impl Words {
    /// A field of type `bytes`, by a function that reads the next word: its length, and the bytes,
    /// padded to whole words.
    pub fn field(mut next: impl FnMut() -> u32) -> Self {
        let length = next() as usize;
        let words = (0..length.div_ceil(4)).map(|_| next()).collect();
        Words { words, length }
    }

    /// The bytes, without the padding.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: there are that many bytes, and every word is four of them, little-endian.
        unsafe { core::slice::from_raw_parts(self.words.as_ptr().cast(), self.length) }
    }
}

/// The words of a journal: the parts, one after the other, padded with zeros to whole words.
pub fn journal(parts: &[&[u8]]) -> Vec<u32> {
    let bytes = parts.concat();
    let words = bytes.chunks(4).map(|chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        u32::from_le_bytes(word)
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_its_bytes_without_the_padding() {
        let mut words = [5, u32::from_le_bytes(*b"abcd"), u32::from_le_bytes(*b"e\0\0\0"), 9].into_iter();
        let field = Words::field(|| words.next().unwrap());
        assert_eq!(field.bytes(), b"abcde");
        assert_eq!(words.next(), Some(9));
    }

    #[test]
    fn a_journal_is_padded() {
        let words = journal(&[b"abc", b"de"]);
        assert_eq!(words, [u32::from_le_bytes(*b"abcd"), u32::from_le_bytes(*b"e\0\0\0")]);
    }
}
