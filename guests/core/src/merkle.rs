//! The batch tree: a Merkle tree hash in the style of RFC 6962 over `(image_id, journal)`.
//!
//! - leaf: `SHA-256(0x00 || image_id || journal)`
//! - inner node: `SHA-256(0x01 || left || right)`
//! - `MTH(D[n])` for n > 1 splits at the largest power of two smaller than n.
//!
//! The prefixes keep a leaf from passing for an inner node. The image id has a fixed length, so
//! nothing can move between it and the journal.
//!
//! The tree is built as the leaves come in, with one digest for every set bit of their number:
//! O(log n) memory, so the guest touches few pages.

use core::mem::MaybeUninit;

use crate::{
    Digest,
    sha::{Block, Compress, INIT, Prefixed},
};

/// What a leaf's preimage starts with.
pub const LEAF_PREFIX: u8 = 0;
/// What an inner node's preimage starts with.
pub const NODE_PREFIX: u8 = 1;

/// A hasher for a leaf of `image_id`; the journal is to be added.
#[inline(always)]
pub fn leaf_hasher<C: Compress>(image_id: &Digest) -> Prefixed<C> {
    let mut hasher = Prefixed::new(LEAF_PREFIX);
    hasher.update(image_id);
    hasher
}

/// `SHA-256(0x01 || left || right)`: 65 bytes, always the same two blocks.
#[inline(never)]
pub fn node<C: Compress>(left: &Digest, right: &Digest) -> Digest {
    let mut blocks: [Block; 2] = [[0; 16]; 2];
    let mut carry = NODE_PREFIX as u32;
    for (slot, word) in blocks[0].iter_mut().zip(left.iter().chain(right)) {
        *slot = carry | *word << 8;
        carry = *word >> 24;
    }
    blocks[1][0] = carry | 0x80 << 8;
    blocks[1][15] = (65u32 * 8).swap_bytes();
    C::digest(&INIT, &blocks)
}

const LEVELS: usize = 12;
/// The most nodes one tree takes. Larger batches nest; more levels would cost every small one.
pub const MAX: u32 = (1 << LEVELS) - 1;

/// Builds the tree hash from its leaves, in order.
pub struct Tree {
    /// Roots of the complete subtrees so far, largest first: one for every set bit of `count`. The
    /// first `depth` are initialised; clearing the others would touch a page for nothing.
    roots: [MaybeUninit<Digest>; LEVELS],
    depth: usize,
    count: u32,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// The empty tree.
    #[inline(always)]
    pub const fn new() -> Self {
        Self {
            roots: [const { MaybeUninit::uninit() }; LEVELS],
            depth: 0,
            count: 0,
        }
    }

    /// Adds a leaf's hash, or the root of what stands in a leaf's place. `None` after [`MAX`].
    #[inline(always)]
    pub fn push<C: Compress>(&mut self, leaf: Digest) -> Option<()> {
        // Two complete subtrees of one size become one of twice the size, as often as `count` ends
        // in set bits. This is the RFC's split: its left part is always a complete subtree.
        if self.count == MAX {
            return None;
        }
        let merges = self.count.trailing_ones() as usize;
        self.count += 1;
        let (kept, merged) = self
            .roots
            .get(..self.depth)?
            .split_at_checked(self.depth - merges)?;
        let mut root = leaf;
        for left in merged.iter().rev() {
            // SAFETY: all of these are among the first `depth` roots.
            root = node::<C>(unsafe { left.assume_init_ref() }, &root);
        }
        self.depth = kept.len();
        self.roots.get_mut(self.depth)?.write(root);
        self.depth += 1;
        Some(())
    }

    /// The tree hash; `None` for the empty tree, which binds nothing.
    #[inline(always)]
    pub fn root<C: Compress>(&self) -> Option<Digest> {
        // From the right: the smaller subtrees are the right part of every split.
        let (last, larger) = self.roots.get(..self.depth)?.split_last()?;
        // SAFETY: both are among the first `depth` roots.
        let mut root = unsafe { last.assume_init() };
        for left in larger.iter().rev() {
            root = node::<C>(unsafe { left.assume_init_ref() }, &root);
        }
        Some(root)
    }
}
