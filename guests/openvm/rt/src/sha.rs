//! The SHA-256 compression function in RV32IM instructions.

use guest_core::{
    Digest,
    sha::{Block, Compress, compress_const},
};

/// SHA-256 by the processor. The name is the other runtime's, where a circuit does it.
pub struct Circuit;

impl Compress for Circuit {
    #[inline(always)]
    fn compress(after: &mut Digest, state: &Digest, blocks: &[Block]) {
        *after = *state;
        Self::advance(after, blocks);
    }

    #[inline(never)]
    fn advance(state: &mut Digest, blocks: &[Block]) {
        for block in blocks {
            *state = compress_const(*state, block);
        }
    }
}
