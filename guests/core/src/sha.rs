//! SHA-256 padding over little-endian words, on top of a compression function.
//!
//! The zkVM's circuit does the compression; the padding is ours, because what is hashed here comes
//! in words and in known shapes, and the usual byte-wise hashers spend more cycles on buffering
//! than the circuit spends on hashing.

use crate::Digest;

/// 64 bytes, in memory order.
pub type Block = [u32; 16];

/// The SHA-256 initial state in memory order (the words of FIPS 180-4, byte-swapped).
pub const INIT: Digest = [
    0x67e6_096a,
    0x85ae_67bb,
    0x72f3_6e3c,
    0x3af5_4fa5,
    0x7f52_0e51,
    0x8c68_059b,
    0xabd9_831f,
    0x19cd_e05b,
];

/// The compression function: the zkVM's circuit in a guest, `sha2` in the tests.
///
/// The results go where they are needed, because a guest pays for every copy of eight words.
pub trait Compress {
    /// Writes the state after `blocks`, which are at least one, to `after`.
    fn compress(after: &mut Digest, state: &Digest, blocks: &[Block]);

    /// The same, where the state may be overwritten.
    fn advance(state: &mut Digest, blocks: &[Block]);

    /// The same, as a value.
    #[inline(always)]
    fn digest(state: &Digest, blocks: &[Block]) -> Digest {
        let mut after = *state;
        Self::advance(&mut after, blocks);
        after
    }
}

/// Streaming SHA-256 of a message given in words; with `PREFIXED`, of one byte and that message.
///
/// After a one-byte prefix the words no longer start at a word boundary of the block, so each is
/// shifted by a byte on its way in.
pub struct Hasher<C, const PREFIXED: bool> {
    state: Digest,
    /// The first `used` words are set, the others are zero.
    block: Block,
    used: usize,
    /// With `PREFIXED`, the byte that did not fit into the block's last word.
    carry: u32,
    /// Words of the message so far.
    words: u32,
    compress: core::marker::PhantomData<C>,
}

/// A hasher of exactly the words it is given.
pub type Plain<C> = Hasher<C, false>;
/// A hasher of a domain separation byte and the words it is given.
pub type Prefixed<C> = Hasher<C, true>;

impl<C: Compress> Plain<C> {
    /// An empty message.
    #[inline(always)]
    pub fn new() -> Self {
        Self::start(0)
    }
}

impl<C: Compress> Default for Plain<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Compress> Prefixed<C> {
    /// A message that so far has one byte.
    #[inline(always)]
    pub fn new(prefix: u8) -> Self {
        Self::start(prefix as u32)
    }
}

impl<C: Compress, const PREFIXED: bool> Hasher<C, PREFIXED> {
    #[inline(always)]
    fn start(carry: u32) -> Self {
        Self {
            state: INIT,
            block: [0; 16],
            used: 0,
            carry,
            words: 0,
            compress: core::marker::PhantomData,
        }
    }

    #[inline(always)]
    fn put(&mut self, word: u32) {
        self.block[self.used & 15] = word;
        self.used += 1;
        if self.used == 16 {
            self.flush();
        }
    }

    #[inline(never)]
    fn flush(&mut self) {
        C::advance(&mut self.state, core::slice::from_ref(&self.block));
        // The padding counts on the rest of a block being clear.
        self.block = [0; 16];
        self.used = 0;
    }

    /// Adds four bytes for every word.
    #[inline(always)]
    pub fn update(&mut self, words: &[u32]) {
        self.words += words.len() as u32;
        for word in words {
            if PREFIXED {
                self.put(self.carry | *word << 8);
                self.carry = *word >> 24;
            } else {
                self.put(*word);
            }
        }
    }

    /// Adds whole blocks as they lie in memory. Only at a block boundary.
    #[inline(always)]
    pub fn update_blocks(&mut self, blocks: &[Block]) {
        assert!(!PREFIXED && self.used == 0);
        if !blocks.is_empty() {
            self.words += 16 * blocks.len() as u32;
            C::advance(&mut self.state, blocks);
        }
    }

    /// Adds the low `tail_bytes` (0 to 3) bytes of `tail`, whatever the others hold, and ends the
    /// message. The hasher is then used up; it is borrowed only because moving it costs as much as
    /// hashing a block.
    #[inline(always)]
    pub fn finish(&mut self, tail: u32, tail_bytes: u32) -> Digest {
        // u64: a message of half a gigabyte and more still gets its true length.
        let mut bits = (u64::from(self.words) * 4 + u64::from(tail_bytes)) * 8;
        let end = 1u32 << (8 * tail_bytes);
        let tail = tail & (end - 1) | end << 7;
        if PREFIXED {
            bits += 8;
            self.put(self.carry | tail << 8);
            // With three bytes in the tail the end marker is the fifth byte.
            if tail_bytes == 3 {
                self.put(tail >> 24);
            }
        } else {
            self.put(tail);
        }
        if self.used > 14 {
            self.flush();
        }
        self.block[14] = ((bits >> 32) as u32).swap_bytes();
        self.block[15] = (bits as u32).swap_bytes();
        C::advance(&mut self.state, core::slice::from_ref(&self.block));
        self.state
    }
}

/// SHA-256 of the 64 bytes of `block`, at compile time.
///
/// For constants only: a guest uses the circuit.
pub const fn compress_const(state: Digest, block: &Block) -> Digest {
    const K: [u32; 64] = [
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2,
    ];
    let mut w = [0u32; 64];
    let mut i = 0;
    while i < 64 {
        w[i] = if i < 16 {
            block[i].swap_bytes()
        } else {
            let (a, b) = (w[i - 15], w[i - 2]);
            let s0 = a.rotate_right(7) ^ a.rotate_right(18) ^ (a >> 3);
            let s1 = b.rotate_right(17) ^ b.rotate_right(19) ^ (b >> 10);
            w[i - 16]
                .wrapping_add(s0)
                .wrapping_add(w[i - 7])
                .wrapping_add(s1)
        };
        i += 1;
    }
    let mut start = state;
    i = 0;
    while i < 8 {
        start[i] = state[i].swap_bytes();
        i += 1;
    }
    let mut s = start;
    i = 0;
    while i < 64 {
        let [a, b, c, d, e, f, g, h] = s;
        let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let t1 = h
            .wrapping_add(s1)
            .wrapping_add((e & f) ^ (!e & g))
            .wrapping_add(K[i])
            .wrapping_add(w[i]);
        let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let t2 = s0.wrapping_add((a & b) ^ (a & c) ^ (b & c));
        s = [t1.wrapping_add(t2), a, b, c, d.wrapping_add(t1), e, f, g];
        i += 1;
    }
    let mut out = [0u32; 8];
    i = 0;
    while i < 8 {
        out[i] = start[i].wrapping_add(s[i]).swap_bytes();
        i += 1;
    }
    out
}

/// SHA-256 of a short text (at most 55 bytes), at compile time.
pub const fn digest_const(text: &[u8]) -> Digest {
    assert!(text.len() <= 55);
    let mut block: Block = [0; 16];
    let mut i = 0;
    while i < text.len() {
        block[i / 4] |= (text[i] as u32) << (8 * (i % 4));
        i += 1;
    }
    block[i / 4] |= 0x80 << (8 * (i % 4));
    block[15] = (8 * text.len() as u32).swap_bytes();
    compress_const(INIT, &block)
}
