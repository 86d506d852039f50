//! How much memory a program binary asks for, before it is loaded.
//!
//! ```text
//! "R0BF"  version: u32  header: u32 length, bytes  user ELF: u32 length, bytes  kernel ELF: the rest
//! ```
//!
//! The loader makes a map entry of every word of every segment before it compares the size with
//! anything, so one wrong bit in a program header takes all the memory there is and the process
//! with it. Only the sizes are read here; whether the rest is right stays the loader's question.

use crate::error::{Error, Result};

/// Of all segments that one ELF loads; loading as much takes some ten seconds.
const MAX_LOADED_BYTES: u64 = 128 << 20;

const LOAD: u32 = 1;
const HEADER_BYTES: usize = 32;

/// Refuse a binary of which an ELF asks for more than [`MAX_LOADED_BYTES`].
pub fn check_size(binary: &[u8]) -> Result<()> {
    for elf in elves(binary).unwrap_or_default() {
        let bytes = loaded_bytes(elf).unwrap_or(0);
        if bytes > MAX_LOADED_BYTES {
            return Err(Error::BadElf(format!(
                "not a program binary: segments of {bytes} bytes, more than {MAX_LOADED_BYTES}"
            )));
        }
    }
    Ok(())
}

/// The user's and the kernel's; nothing where the binary ends too early, which is no binary.
fn elves(binary: &[u8]) -> Option<[&[u8]; 2]> {
    let header = word(binary, 8)? as usize;
    let rest = binary.get(12..)?.get(header..)?;
    let user = word(rest, 0)? as usize;
    rest.get(4..)?.split_at_checked(user).map(<[_; 2]>::from)
}

/// The sum over a 32-bit ELF's segment table; nothing where it has none. Where the number of segments
/// stands elsewhere (`PN_XNUM`), that is the sum over more of the file than the loader takes.
fn loaded_bytes(elf: &[u8]) -> Option<u64> {
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

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
