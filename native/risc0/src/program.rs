//! Program binaries: how much memory one asks for before it is loaded, and the ones loaded before.
//!
//! ```text
//! "R0BF"  version: u32  header: u32 length, bytes  user ELF: u32 length, bytes  kernel ELF: the rest
//! ```
//!
//! The loader makes a map entry of every word of every segment before it compares the size with
//! anything, so one wrong bit in a program header takes all the memory there is and the process
//! with it. Only the sizes are read here; whether the rest is right stays the loader's question.

use std::sync::{Mutex, MutexGuard, PoisonError};

use risc0_binfmt::{AbiKind, MemoryImage, ProgramBinary};

use crate::error::{Error, Result};

/// Programs whose memory images are kept, the last used first. Loading one and hashing its pages
/// takes as long as all the rest of a small run; a copy of the image shares its pages.
static LOADED: Mutex<Vec<(Vec<u8>, MemoryImage)>> = Mutex::new(Vec::new());

/// A batch runs two.
const MAX_LOADED: usize = 4;

/// Of all segments that one ELF loads; loading as much takes some ten seconds.
const MAX_LOADED_BYTES: u64 = 128 << 20;

const LOAD: u32 = 1;
const HEADER_BYTES: usize = 32;

/// A program's memory before its first instruction. The program is told by all of its bytes.
pub fn image(binary: &[u8]) -> Result<MemoryImage> {
    let mut loaded = loaded();
    if let Some(at) = loaded.iter().position(|(known, _)| known == binary) {
        loaded[..=at].rotate_right(1);
        return Ok(loaded[0].1.clone());
    }
    drop(loaded);
    // Not under the lock: a bad binary may take seconds, or panic.
    let image = load(binary)?;
    let mut loaded = self::loaded();
    loaded.truncate(MAX_LOADED - 1);
    loaded.insert(0, (binary.to_vec(), image.clone()));
    Ok(image)
}

fn loaded() -> MutexGuard<'static, Vec<(Vec<u8>, MemoryImage)>> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `ExecutorImpl::from_elf` does, which keeps its image to itself.
fn load(binary: &[u8]) -> Result<MemoryImage> {
    let refused = |why: &str| Error::BadElf(format!("not a program binary: {why}"));
    check_size(binary)?;
    let program = ProgramBinary::decode(binary).map_err(|error| refused(&format!("{error:#}")))?;
    let header = &program.header;
    if header.abi_kind != AbiKind::V1Compat || header.abi_version.major != 1 {
        return Err(refused("of another ABI than v1compat 1"));
    }
    program
        .to_image()
        .map_err(|error| refused(&format!("{error:#}")))
}

/// Refuse a binary of which an ELF asks for more than [`MAX_LOADED_BYTES`].
fn check_size(binary: &[u8]) -> Result<()> {
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
