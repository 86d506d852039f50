//! The aggregator's journal.

use crate::Digest;

/// Words in an encoded [`AggregationResult`].
pub const WORDS: usize = 17;
/// Bytes in an encoded [`AggregationResult`].
pub const BYTES: u32 = 68;

/// What an aggregation vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregationResult {
    /// The image id the aggregator was told is its own. A guest cannot know its own image id: who
    /// verifies the receipt compares this with the image id the receipt was verified against.
    pub self_image_id: Digest,
    /// Leaves below this aggregation, at whatever depth.
    pub verified_count: u32,
    /// The tree hash over the children.
    pub combined_hash: Digest,
}

impl AggregationResult {
    /// 68 bytes as little-endian words: image id, count, hash.
    #[inline(always)]
    pub fn encode(&self) -> [u32; WORDS] {
        let mut words = [0; WORDS];
        words[..8].copy_from_slice(&self.self_image_id);
        words[8] = self.verified_count;
        words[9..].copy_from_slice(&self.combined_hash);
        words
    }

    /// The reverse of [`encode`](Self::encode); total, because every 68 bytes are one result.
    #[inline(always)]
    pub fn decode(words: &[u32; WORDS]) -> Self {
        let mut result = Self {
            self_image_id: [0; 8],
            verified_count: words[8],
            combined_hash: [0; 8],
        };
        result.self_image_id.copy_from_slice(&words[..8]);
        result.combined_hash.copy_from_slice(&words[9..]);
        result
    }
}
