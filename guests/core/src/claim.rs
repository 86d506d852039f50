//! The digests by which RISC Zero 3.0 names an execution: what `env::verify` hands to the host and
//! what a guest halts with.
//!
//! These are `risc0_zkvm::ReceiptClaim::ok(image_id, journal).digest()`, `Output::digest()` and
//! `Assumptions::add`, with everything that does not depend on the child worked out at compile
//! time. `tests/claim.rs` compares each with `risc0-zkvm` itself. A slip here could not turn a false
//! statement into an accepted one: the circuit and the verifier use their own formulas, so a wrong
//! digest names no receipt and the proof fails.

use crate::{
    Digest,
    sha::{Block, Compress, INIT, compress_const, digest_const},
};

const ZERO: Digest = [0; 8];
/// The byte that ends a SHA-256 message, after the two bytes of a field count.
const END: u32 = 0x80 << 16;

const OUTPUT_TAG: Digest = digest_const(b"risc0.Output");
const CLAIM_TAG: Digest = digest_const(b"risc0.ReceiptClaim");
const STATE_TAG: Digest = digest_const(b"risc0.SystemState");
const ASSUMPTION_TAG: Digest = digest_const(b"risc0.Assumption");
const ASSUMPTIONS_TAG: Digest = digest_const(b"risc0.Assumptions");

const fn concat(left: Digest, right: Digest) -> Block {
    let mut block = [0; 16];
    let mut i = 0;
    while i < 8 {
        block[i] = left[i];
        block[8 + i] = right[i];
        i += 1;
    }
    block
}

/// The last block of a tagged structure of two digests: the second one, the number of digests as
/// a `u16`, the padding, and the length of 98 bytes.
const fn second_of_two(digest: Digest) -> Block {
    let mut block = concat(digest, ZERO);
    block[8] = 2 | END;
    block[15] = (98u32 * 8).swap_bytes();
    block
}

/// The state after a successful halt: `SystemState { pc: 0, merkle_root: 0 }`.
const POST_STATE: Digest = {
    let mut last: Block = [0; 16];
    // pc = 0, then the count of digests (1) and the padding; 32 + 32 + 4 + 2 bytes.
    last[1] = 1 | END;
    last[15] = (70u32 * 8).swap_bytes();
    compress_const(compress_const(INIT, &concat(STATE_TAG, ZERO)), &last)
};

/// The state after the first block of every claim: its tag and its (absent) input.
const CLAIM_MIDSTATE: Digest = compress_const(INIT, &concat(CLAIM_TAG, ZERO));

/// The message blocks of the four structures behind `env::verify`, kept so that only what differs
/// from child to child is written for each.
pub struct Claims<C> {
    /// `Output`: tag, *journal* | *assumptions*, count.
    output: [Block; 2],
    /// `ReceiptClaim` after its first block: *image id*, post state | *output*, exit code, count.
    claim: [Block; 2],
    /// `Assumption`: tag, *claim* | control root (zero), count.
    assumption: [Block; 2],
    /// A cell of the list of assumptions: tag, *assumption* | *tail*, count.
    cell: [Block; 2],
    compress: core::marker::PhantomData<C>,
}

#[inline(always)]
fn half(block: &mut Block, which: usize) -> &mut Digest {
    block[8 * which..].first_chunk_mut().expect("eight words")
}

impl<C: Compress> Default for Claims<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Compress> Claims<C> {
    /// No assumption made: the digest of the empty list is all zeros.
    #[inline(always)]
    pub const fn new() -> Self {
        let mut last = [0; 16];
        // last[8..10]: the exit code pair (0, 0). Then four digests; 32 + 4 * 32 + 2 * 4 + 2 bytes.
        last[10] = 4 | END;
        last[15] = (170u32 * 8).swap_bytes();
        Self {
            output: [concat(OUTPUT_TAG, ZERO), second_of_two(ZERO)],
            claim: [concat(ZERO, POST_STATE), last],
            assumption: [concat(ASSUMPTION_TAG, ZERO), second_of_two(ZERO)],
            cell: [concat(ASSUMPTIONS_TAG, ZERO), second_of_two(ZERO)],
            compress: core::marker::PhantomData,
        }
    }

    /// Works out the claim that the program `image_id` halted with code 0 and a journal of this
    /// digest, with no assumptions left open, and adds it to the list of assumptions.
    ///
    /// Returns the claim's digest and the control root it is to be verified under: the zero digest,
    /// which stands for the recursion programs of the execution that makes the assumption. The two
    /// together are what the host is asked for.
    #[inline(always)]
    pub fn assume(&mut self, image_id: &Digest, journal: &Digest) -> &[u32; 16] {
        *half(&mut self.output[0], 1) = *journal;
        *half(&mut self.claim[0], 0) = *image_id;
        C::compress(half(&mut self.claim[1], 0), &INIT, &self.output);
        C::compress(
            half(&mut self.assumption[0], 1),
            &CLAIM_MIDSTATE,
            &self.claim,
        );
        C::compress(half(&mut self.cell[0], 1), &INIT, &self.assumption);
        let list = C::digest(&INIT, &self.cell);
        *half(&mut self.cell[1], 0) = list;
        // The claim's slot and the control root lie side by side across the two blocks.
        let words = self.assumption.as_flattened();
        words[8..24].first_chunk().expect("sixteen words")
    }

    /// The digest of the list of assumptions made so far.
    #[inline(always)]
    pub fn assumptions(&self) -> &Digest {
        self.cell[1].first_chunk().expect("eight words")
    }
}

/// The digest of no assumptions.
pub const NO_ASSUMPTIONS: Digest = ZERO;

/// The output digest to halt with: `Output { journal, assumptions }`.
#[inline(always)]
pub fn output<C: Compress>(journal: &Digest, assumptions: &Digest) -> Digest {
    C::digest(
        &INIT,
        &[concat(OUTPUT_TAG, *journal), second_of_two(*assumptions)],
    )
}
