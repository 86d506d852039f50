//! Whether a proof has the bytes for what its lengths claim.
//!
//! The library's decoder believes every length. It reserves at most 1024 elements ahead of what it
//! has read, so a length whose elements have bytes does no harm: the bytes end first. But elements
//! may have no bytes at all, such as rows of width zero or polynomials of degree zero, and a few
//! bytes can claim 2^32 of them or more, each of which takes 24 bytes of memory. So all lengths are
//! read here first, and nothing is allocated. A list that has elements without bytes is refused.
//! No proof has one.
//!
//! The order of the fields is that of the library's `Encode` implementations for `Proof`
//! (`openvm_stark_backend::proof`) and `VmStarkProof` (`openvm_verify_stark_host`).

use runner_shared::{
    Result,
    envelope::{Malformed, Reader, malformed},
};

/// The bytes of an element of the base field, of the extension field, and of a digest.
const FIELD: usize = 4;
const EXTENSION: usize = 4 * FIELD;
const DIGEST: usize = 8 * FIELD;

/// Refuse the encoding of a `VmStarkProof` that claims more than it has bytes for.
pub fn check(proof: &[u8]) -> Result<()> {
    let mut input = Lengths(Reader::new(proof));
    input.constraints()?;
    input.openings()?;
    // The public values, and the paths to the results of children.
    input.list(DIGEST)?;
    input.list(FIELD)?;
    input.pass(&[DIGEST])?;
    if input.byte()? != 0 {
        input.list(DIGEST)?;
        input.list(DIGEST)?;
    }
    input.0.end().map_err(refusal)
}

/// Reads the lengths and passes over what they are the lengths of.
struct Lengths<'a>(Reader<'a>);

impl Lengths<'_> {
    fn byte(&mut self) -> Result<u8> {
        let [byte] = self.0.array().map_err(refusal)?;
        Ok(byte)
    }

    fn length(&mut self) -> Result<usize> {
        Ok(self.0.count().map_err(refusal)? as usize)
    }

    /// Pass over a list of lists and so on, whose sizes are `sizes` from the outermost to the bytes
    /// of an element.
    fn pass(&mut self, sizes: &[usize]) -> Result<()> {
        let (count, element) = sizes.split_first().expect("a list has a size");
        if *count == 0 {
            return Ok(());
        }
        if element.contains(&0) {
            return Err(malformed("it has a list of elements without bytes"));
        }
        let bytes = sizes
            .iter()
            .try_fold(1_usize, |bytes, size| bytes.checked_mul(*size))
            .ok_or_else(|| refusal(Malformed::LengthBeyondMemory))?;
        self.0.take(bytes).map(drop).map_err(refusal)
    }

    /// Pass over a list that begins with its length. Each element has `bytes` bytes.
    fn list(&mut self, bytes: usize) -> Result<usize> {
        let length = self.length()?;
        self.pass(&[length, bytes])?;
        Ok(length)
    }

    /// Pass over the traces' shapes, the public values, and the proofs about the constraints.
    fn constraints(&mut self) -> Result<()> {
        self.pass(&[size_of::<u32>() + DIGEST])?; // the version, and the commitment to the traces
        let airs = self.length()?;
        let present = self.0.take(airs.div_ceil(8)).map_err(refusal)?;
        for _ in 0..present.iter().map(|byte| byte.count_ones()).sum() {
            self.length()?; // the height's logarithm
            self.list(DIGEST)?;
        }
        // An absent trace is one bit here, and many bytes in memory. Its public values are a length.
        if self.length()? != airs {
            return Err(malformed("it has public values of other traces"));
        }
        for _ in 0..airs {
            self.list(FIELD)?;
        }

        // The sums over all interactions: layer n > 0 has n polynomials, each with three values.
        self.pass(&[FIELD + EXTENSION])?;
        let layers = self.list(4 * EXTENSION)?;
        self.pass(&[layers * layers.saturating_sub(1) / 2, 3 * EXTENSION])?;

        let traces = self.list(EXTENSION)?;
        self.pass(&[traces, EXTENSION])?;
        self.list(EXTENSION)?;
        let rounds = self.length()?;
        if rounds > 0 {
            let values = self.length()?;
            self.pass(&[rounds, values, EXTENSION])?;
        }
        for _ in 0..traces {
            for _ in 0..self.length()? {
                self.list(EXTENSION)?;
            }
        }
        Ok(())
    }

    /// Pass over the proofs that the committed traces have these values.
    fn openings(&mut self) -> Result<()> {
        // The traces are stacked into fewer polynomials.
        self.list(EXTENSION)?;
        self.list(2 * EXTENSION)?;
        for _ in 0..self.length()? {
            self.list(EXTENSION)?;
        }

        // WHIR: the polynomials are folded `folds` times between two commitments.
        self.pass(&[FIELD])?;
        let sumchecks = self.list(2 * EXTENSION)?;
        let commitments = self.list(DIGEST)?;
        let rounds = commitments + 1;
        self.pass(&[commitments, EXTENSION])?;
        self.pass(&[sumchecks, FIELD])?;
        self.pass(&[rounds, FIELD])?;
        let folds = u32::try_from(sumchecks / rounds).unwrap_or(u32::MAX);
        let opened = 1_usize
            .checked_shl(folds)
            .ok_or_else(|| refusal(Malformed::LengthBeyondMemory))?;

        let matrices = self.length()?;
        let queries = self.length()?;
        if matrices == 0 || queries == 0 {
            return Err(malformed("it opens nothing"));
        }
        let depth = self.length()?;
        let bytes = matrices.saturating_mul(size_of::<u32>());
        let mut widths = Reader::new(self.0.take(bytes).map_err(refusal)?);
        for _ in 0..matrices {
            let width = widths.count().map_err(refusal)? as usize;
            self.pass(&[queries, opened, width, FIELD])?;
        }
        self.pass(&[matrices, queries, depth, DIGEST])?;

        let mut asked = Vec::new();
        for _ in 0..commitments {
            let queries = self.length()?;
            if queries == 0 {
                return Err(malformed("it opens nothing"));
            }
            self.pass(&[queries, opened, EXTENSION])?;
            asked.push(queries);
        }
        let mut depth = self.length()?;
        for queries in asked {
            self.pass(&[queries, depth, DIGEST])?;
            depth -= 1; // a path of no digests was refused
        }
        self.list(EXTENSION)?;
        Ok(())
    }
}

/// The error for a proof that is shorter or longer than its lengths claim.
fn refusal(problem: Malformed) -> runner_shared::Error {
    malformed(&format!("the proof cannot be read: {problem}"))
}

#[cfg(test)]
mod tests {
    use std::{env, process::Command};

    use openvm_stark_backend::{codec::Encode, p3_field::PrimeCharacteristicRing};
    use openvm_stark_sdk::config::baby_bear_poseidon2::{EF, F};
    use openvm_verify_stark_host::VmStarkProof;
    use runner_shared::Error;

    use super::*;
    use crate::receipt::{decode, encode, tests::stored};

    /// In kibibytes: decoding a receipt takes a few megabytes, and the rest is for what the test
    /// binary maps and reserves.
    const ADDRESS_SPACE: u64 = 2 << 20;

    fn changed(change: impl Fn(&mut VmStarkProof)) -> Vec<u8> {
        let mut receipt = decode(&stored()).unwrap();
        change(&mut receipt.proof);
        encode(&receipt.journal, &receipt.proof).unwrap()
    }

    /// A receipt that claims 2^32 - 1 of what `change` puts two of into a proof.
    fn claiming(change: impl Fn(&mut VmStarkProof, usize)) -> Vec<u8> {
        let (two, mut most) = (
            changed(|proof| change(proof, 2)),
            changed(|proof| change(proof, 3)),
        );
        let start = two.len() - changed_body(&two);
        let at = start
            + (two[start..].iter().zip(&most[start..]))
                .position(|(one, other)| one != other)
                .unwrap();
        most[at..at + 4].fill(0xff);
        most
    }

    /// The bytes of a receipt's proof: the lengths before it differ as well.
    fn changed_body(receipt: &[u8]) -> usize {
        let journal = decode(&stored()).unwrap().journal.len();
        receipt.len() - (8 + 8 + journal + 8)
    }

    fn without_folding(proof: &mut VmStarkProof, sumchecks: usize, queries: usize) {
        let whir = &mut proof.inner.whir_proof;
        whir.codeword_commits.clear();
        whir.ood_values.clear();
        whir.query_phase_pow_witnesses.truncate(1);
        whir.whir_sumcheck_polys = vec![[EF::ONE; 2]; sumchecks];
        whir.folding_pow_witnesses = vec![F::ONE; sumchecks];
        whir.codeword_opened_values.clear();
        whir.codeword_merkle_proofs.clear();
        whir.initial_round_opened_rows = vec![vec![vec![vec![]; 1]; queries]];
        whir.initial_round_merkle_proofs = vec![vec![vec![]; queries]];
    }

    /// Receipts that a decoder which believes their lengths fills all memory with.
    fn hostile() -> [(Vec<u8>, &'static str); 5] {
        let nothing = "it has a list of elements without bytes";
        [
            (
                claiming(|proof, count| {
                    let polynomials = &mut proof.inner.batch_constraint_proof.sumcheck_round_polys;
                    *polynomials = vec![vec![]; count];
                }),
                nothing,
            ),
            (
                claiming(|proof, count| {
                    let whir = &mut proof.inner.whir_proof;
                    whir.initial_round_opened_rows = vec![vec![]; count];
                    whir.initial_round_merkle_proofs = vec![vec![]; count];
                }),
                "it opens nothing",
            ),
            (
                claiming(|proof, count| without_folding(proof, 0, count)),
                nothing,
            ),
            (changed(|proof| without_folding(proof, 62, 1)), nothing),
            (
                changed(|proof| without_folding(proof, 64, 1)),
                "the proof cannot be read: a length beyond memory",
            ),
        ]
    }

    /// The only test in a process of its own, whose memory is limited.
    #[test]
    #[ignore = "another test starts it"]
    fn hostile_receipts_are_refused() {
        for (number, (bytes, reason)) in hostile().into_iter().enumerate() {
            let expected = Error::MalformedReceipt(format!("not a receipt: {reason}"));
            assert_eq!(decode(&bytes).err(), Some(expected), "{number}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn hostile_receipts_take_little_memory() {
        let limited = format!("ulimit -v {ADDRESS_SPACE} && exec \"$0\" \"$@\"");
        let name = "layout::tests::hostile_receipts_are_refused";
        let done = Command::new("sh")
            .args(["-c", &limited])
            .arg(env::current_exe().unwrap())
            .args(["--exact", name, "--ignored", "--test-threads=1"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(
            done.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&done.stderr)
        );
        assert!(said.contains("1 passed"), "{said}");
    }

    #[test]
    fn a_real_proof_has_bytes_for_what_it_claims() {
        let proof = decode(&stored()).unwrap().proof.encode_to_vec().unwrap();
        assert_eq!(check(&proof), Ok(()));
        for length in 0..proof.len() {
            assert!(check(&proof[..length]).is_err(), "{length}");
        }
        let longer = [proof.as_slice(), &[0]].concat();
        let reason = "not a receipt: the proof cannot be read: 1 bytes after its end";
        assert_eq!(check(&longer), Err(Error::MalformedReceipt(reason.into())));
    }

    /// One bit for an absent trace is some 40 bytes in memory.
    #[test]
    fn each_trace_has_public_values() {
        let bytes = changed(|proof| {
            let traces = &mut proof.inner.trace_vdata;
            traces.resize(traces.len() + 8, None);
        });
        let reason = "not a receipt: it has public values of other traces";
        let expected = Error::MalformedReceipt(reason.into());
        assert_eq!(decode(&bytes).err(), Some(expected));
    }
}
