//! The program headers of an ELF file, checked before a zkVM loads it.
//!
//! The zkVMs' loaders make a map entry of every word of every segment before they compare the size
//! with anything, so one wrong bit in a program header could take all the memory there is, and the
//! process with it. Only the headers are read here. Whether the rest of the file is right remains
//! the loader's question.

use std::ops::Range;

const LOAD: u32 = 1;
const EXECUTABLE: u32 = 1;
const HEADER_BYTES: usize = 32;

/// The part of a 32-bit ELF that says what is loaded where.
#[derive(Debug, PartialEq, Eq)]
pub struct Headers {
    /// The address of the first instruction.
    pub entry: u32,
    /// The segments that are loaded, in the file's order.
    pub segments: Vec<Segment>,
}

/// A segment that is loaded. Its bytes lie in the file, and its addresses do not overflow.
#[derive(Debug, PartialEq, Eq)]
pub struct Segment {
    pub addresses: Range<u32>,
    pub executable: bool,
}

impl Headers {
    /// Read the headers of a file, provided that they speak of bytes that are there and that what
    /// is loaded takes no more than `most` bytes. The error says what is wrong.
    ///
    /// Where the number of segments stands elsewhere (`PN_XNUM`), these are more headers than the
    /// loaders accept.
    pub fn read(elf: &[u8], most: u64) -> Result<Self, String> {
        let table = table(elf).ok_or("it has no segment table")?;
        let loaded = table
            .chunks_exact(HEADER_BYTES)
            .filter(|header| word(header, 0) == Some(LOAD));
        let headers = Headers {
            entry: word(elf, 24).ok_or("it has no entry point")?,
            segments: loaded
                .map(|header| segment(header, elf.len()))
                .collect::<Result<_, _>>()?,
        };
        let bytes = headers.loaded_bytes();
        if bytes > most {
            return Err(format!("segments of {bytes} bytes, more than {most}"));
        }
        Ok(headers)
    }

    /// The addresses from the first executable byte to the last. They are empty where there is none.
    pub fn code(&self) -> Range<u32> {
        let parts = || self.segments.iter().filter(|segment| segment.executable);
        let start = parts().map(|segment| segment.addresses.start).min();
        let end = parts().map(|segment| segment.addresses.end).max();
        start.unwrap_or(0)..end.unwrap_or(0)
    }

    /// The bytes that the segments occupy in memory.
    fn loaded_bytes(&self) -> u64 {
        let sizes = self.segments.iter().map(|segment| &segment.addresses);
        sizes.map(|range| u64::from(range.end - range.start)).sum()
    }
}

/// The table of program headers, or `None` where it is not whole.
fn table(elf: &[u8]) -> Option<&[u8]> {
    let size = u16::from_le_bytes(*elf.get(42..)?.first_chunk()?);
    let count = usize::from(u16::from_le_bytes(*elf.get(44..)?.first_chunk()?));
    let from = elf.get(word(elf, 28)? as usize..)?;
    (usize::from(size) == HEADER_BYTES)
        .then_some(from)?
        .get(..count * HEADER_BYTES)
}

/// The segment that a program header describes, in a file of `length` bytes.
fn segment(header: &[u8], length: usize) -> Result<Segment, String> {
    let mut words = [0; HEADER_BYTES / 4];
    for (at, value) in words.iter_mut().enumerate() {
        *value = word(header, 4 * at).ok_or("a program header is not whole")?;
    }
    let [_, offset, start, _, in_file, in_memory, flags, _] = words;
    if in_file > in_memory {
        return Err(format!(
            "a segment has {in_file} bytes in the file, more than its {in_memory} in memory"
        ));
    }
    if u64::from(offset) + u64::from(in_file) > length as u64 {
        return Err(format!(
            "a segment ends at byte {} of a file of {length} bytes",
            u64::from(offset) + u64::from(in_file)
        ));
    }
    let end = start
        .checked_add(in_memory)
        .ok_or_else(|| format!("a segment of {in_memory} bytes begins at {start:#x}"))?;
    Ok(Segment {
        addresses: start..end,
        executable: flags & EXECUTABLE != 0,
    })
}

/// The little-endian word at an offset, or `None` where the bytes end before it does.
pub fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    include!("mutation.rs");

    const NOTE: u32 = 4;
    const READ: u32 = 4;
    const TABLE: usize = 52;
    const MOST: u64 = u64::MAX;

    /// The parts of an ELF that are read here: a header and a table of program headers, of which
    /// each is (type, address, bytes in memory, flags) and has no bytes in the file.
    fn elf(segments: &[(u32, u32, u32, u32)]) -> Vec<u8> {
        let mut bytes = vec![0; TABLE];
        bytes[24] = 8;
        bytes[28] = TABLE as u8;
        bytes[42] = HEADER_BYTES as u8;
        bytes[44] = segments.len() as u8;
        for (kind, start, size, flags) in segments {
            let words = [*kind, 0, *start, *start, 0, *size, *flags, 4];
            bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        }
        bytes
    }

    /// The headers of one segment of which one word is changed.
    fn changed(at: usize, value: u32) -> Result<Headers, String> {
        let mut bytes = elf(&[(LOAD, 64, 16, READ)]);
        bytes[TABLE + at..][..4].copy_from_slice(&value.to_le_bytes());
        Headers::read(&bytes, MOST)
    }

    #[test]
    fn the_segments_that_are_loaded_are_read() {
        let segments = [
            (LOAD, 64, 16, READ),
            (NOTE, 0, 100, READ),
            (LOAD, 128, 20, READ | EXECUTABLE),
            (LOAD, 148, 4, EXECUTABLE),
        ];
        let headers = Headers::read(&elf(&segments), 40).unwrap();
        assert_eq!(headers.entry, 8);
        let first = Segment {
            addresses: 64..80,
            executable: false,
        };
        assert_eq!(headers.segments[0], first);
        assert_eq!(headers.segments.len(), 3);
        assert_eq!(headers.code(), 128..152);
        assert_eq!(
            Headers::read(&elf(&segments), 39).unwrap_err(),
            "segments of 40 bytes, more than 39"
        );
        assert_eq!(Headers::read(&elf(&[]), 0).unwrap().code(), 0..0);
    }

    #[test]
    fn a_segment_lies_in_the_file_and_in_the_address_space() {
        assert!(changed(0, LOAD).is_ok());
        assert!(changed(0, NOTE).unwrap().segments.is_empty());
        for (at, value, problem) in [
            (
                16,
                17,
                "a segment has 17 bytes in the file, more than its 16 in memory",
            ),
            (4, 85, "a segment ends at byte 85 of a file of 84 bytes"),
            (
                4,
                u32::MAX,
                "a segment ends at byte 4294967295 of a file of 84 bytes",
            ),
            (
                8,
                u32::MAX - 15,
                "a segment of 16 bytes begins at 0xfffffff0",
            ),
        ] {
            assert_eq!(changed(at, value).unwrap_err(), problem);
        }
        assert!(changed(16, 16).is_ok());
        assert!(changed(4, 84).is_ok());
    }

    #[test]
    fn a_file_without_a_whole_table_is_refused() {
        let whole = elf(&[(LOAD, 0, 10, 0), (LOAD, 16, 20, 0)]);
        assert!(Headers::read(&whole, MOST).is_ok());
        let refused = |bytes: &[u8]| {
            let problem = Headers::read(bytes, MOST).unwrap_err();
            assert_eq!(problem, "it has no segment table");
        };
        for length in 0..whole.len() {
            refused(&whole[..length]);
        }
        for (at, size) in [(28, 4), (42, 2), (44, 2)] {
            let mut bytes = whole.clone();
            bytes[at..at + size].fill(0xff);
            refused(&bytes);
        }
    }

    #[test]
    fn whatever_the_headers_say_what_is_read_keeps_its_bounds() {
        let whole = elf(&[
            (LOAD, 64, 16, READ),
            (LOAD, 128, 20, EXECUTABLE),
            (NOTE, 0, 9, 0),
        ]);
        let mut read = 0;
        for round in 0..100_000 {
            let Ok(headers) = Headers::read(&mutated(&whole, round), 1000) else {
                continue;
            };
            let ordered = |range: &Range<u32>| range.start <= range.end;
            let addresses = headers.segments.iter().map(|segment| &segment.addresses);
            assert!(addresses.clone().all(ordered), "round {round}");
            assert!(addresses.map(|range| range.len()).sum::<usize>() <= 1000);
            assert!(ordered(&headers.code()), "round {round}");
            read += 1;
        }
        assert!((1000..99_000).contains(&read), "{read}");
    }

    #[test]
    fn a_word_is_read_only_where_it_is_whole() {
        assert_eq!(word(&[1, 2, 0, 0, 0], 1), Some(2));
        assert_eq!(word(&[1, 2, 0, 0, 0], 2), None);
        assert_eq!(word(&[], usize::MAX), None);
    }
}
