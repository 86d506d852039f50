// Changes to bytes for tests of readers, which include this file: a test module of one crate is not
// seen by another. `scripts/fuzz.sh` has fuzzers that are guided by coverage.

/// The bytes with one to four changes that follow from the number of the round: a bit, a word that
/// readers stumble over, a piece that is left out or doubled, or an end that is cut off.
fn mutated(bytes: &[u8], round: u64) -> Vec<u8> {
    let mut state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |limit: usize| {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % limit.max(1)
    };
    let mut out = bytes.to_vec();
    for _ in 0..=below(4) {
        // Most of a seal is the same to a reader, so half of all changes are near an end.
        let near = out.len().min(400);
        let at = match below(4) {
            0 => below(near),
            1 => out.len() - near + below(near),
            _ => below(out.len()),
        };
        let end = (at + below(40)).min(out.len());
        match below(8) {
            0..3 if at < out.len() => out[at] ^= 1 << below(8),
            3..5 => {
                let words = [0, 1, 2, 0x7f, 0x100, 0x7fff_ffff, 0x8000_0000, u32::MAX];
                let word = words[below(words.len())].to_le_bytes();
                let room = (out.len() - at).min(4);
                out[at..at + room].copy_from_slice(&word[..room]);
            }
            5 => drop(out.drain(at..end)),
            6 => {
                let piece = out[at..end].to_vec();
                drop(out.splice(at..at, piece));
            }
            _ => out.truncate(at),
        }
    }
    out
}
