//! The claim digests against `risc0-zkvm` itself.

mod common;

use common::{Host, to_bytes};
use guest_core::{
    Digest,
    claim::{Claims, NO_ASSUMPTIONS, output},
};
use risc0_zkvm::{
    Assumption, Assumptions as TheirAssumptions, MaybePruned, Output, ReceiptClaim, sha::Digestible,
};

fn digest(seed: u32) -> Digest {
    core::array::from_fn(|i| seed.wrapping_mul(0x9e37_79b9).rotate_left(i as u32) ^ i as u32)
}

fn theirs(digest: Digest) -> risc0_zkvm::Digest {
    risc0_zkvm::Digest::new(digest)
}

#[test]
fn claims_outputs_and_assumption_lists() {
    let mut list = MaybePruned::<TheirAssumptions>::Pruned(risc0_zkvm::Digest::ZERO);
    let mut ours = Claims::<Host>::new();
    assert_eq!(*ours.assumptions(), NO_ASSUMPTIONS);
    for seed in 0..20 {
        let (image_id, journal) = (digest(seed), digest(seed + 1000));
        let claim = ReceiptClaim::ok(theirs(image_id), MaybePruned::Pruned(theirs(journal)));
        let request = ours.assume(&image_id, &journal);
        assert_eq!(to_bytes(&request[..8]), claim.digest().as_bytes());
        assert_eq!(request[8..], [0; 8]);

        let control_root = risc0_zkvm::Digest::ZERO;
        list.add(
            Assumption {
                claim: claim.digest(),
                control_root,
            }
            .into(),
        );
        assert_eq!(to_bytes(ours.assumptions()), list.digest().as_bytes());

        let journal = digest(seed + 500);
        let expected = Output {
            journal: MaybePruned::Pruned(theirs(journal)),
            assumptions: list.clone(),
        };
        let output = output::<Host>(&journal, ours.assumptions());
        assert_eq!(to_bytes(&output), expected.digest().as_bytes());
    }
}
