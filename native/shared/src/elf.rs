//! How much memory an ELF file asks for, read before a zkVM loads it.
//!
//! The zkVMs' loaders make a map entry of every word of every segment before they compare the size
//! with anything, so one wrong bit in a program header could take all the memory there is, and the
//! process with it. Only sizes are read here. Whether the rest of the file is right remains the
//! loader's question.

const LOAD: u32 = 1;
const HEADER_BYTES: usize = 32;

/// The bytes that the segments of a 32-bit ELF occupy in memory, or `None` where the file has no
/// segment table. Where the number of segments stands elsewhere (`PN_XNUM`), this is the sum over
/// more of the file than the loaders accept.
pub fn loaded_bytes(elf: &[u8]) -> Option<u64> {
    let table = elf.get(word(elf, 28)? as usize..)?;
    let count = usize::from(u16::from_le_bytes(*elf.get(44..)?.first_chunk()?));
    let segments = table.chunks_exact(HEADER_BYTES).take(count);
    let loaded = segments.filter(|segment| word(segment, 0) == Some(LOAD));
    Some(
        loaded
            .filter_map(|segment| word(segment, 20))
            .map(u64::from)
            .sum(),
    )
}

/// The little-endian word at an offset, or `None` where the bytes end before it does.
pub fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: u32 = 4;

    /// The parts of an ELF that are read here: a header and a table of (type, size in memory).
    fn elf(segments: &[(u32, u32)]) -> Vec<u8> {
        let mut bytes = vec![0; 52];
        bytes[28] = 52;
        bytes[44] = segments.len() as u8;
        for (kind, size) in segments {
            let mut header = [0; HEADER_BYTES];
            header[..4].copy_from_slice(&kind.to_le_bytes());
            header[20..24].copy_from_slice(&size.to_le_bytes());
            bytes.extend_from_slice(&header);
        }
        bytes
    }

    #[test]
    fn the_segments_that_are_loaded_are_summed() {
        let segments = [(LOAD, 10), (NOTE, 100), (LOAD, u32::MAX)];
        assert_eq!(
            loaded_bytes(&elf(&segments)),
            Some(10 + u64::from(u32::MAX))
        );
        assert_eq!(loaded_bytes(&elf(&[])), Some(0));
    }

    #[test]
    fn a_table_that_ends_early_counts_as_far_as_it_goes() {
        let mut bytes = elf(&[(LOAD, 10), (LOAD, 20)]);
        bytes.pop();
        assert_eq!(loaded_bytes(&bytes), Some(10));
    }

    #[test]
    fn a_file_without_a_table_has_no_size() {
        let whole = elf(&[]);
        for length in 0..46 {
            assert_eq!(loaded_bytes(&whole[..length]), None, "{length}");
        }
        let mut bytes = whole;
        bytes[28..32].fill(0xff);
        assert_eq!(loaded_bytes(&bytes), None);
    }

    #[test]
    fn a_word_is_read_only_where_it_is_whole() {
        assert_eq!(word(&[1, 2, 0, 0, 0], 1), Some(2));
        assert_eq!(word(&[1, 2, 0, 0, 0], 2), None);
        assert_eq!(word(&[], usize::MAX), None);
    }
}
