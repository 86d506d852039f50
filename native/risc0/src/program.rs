//! Program binaries: a check of their size before they are loaded, and those loaded most recently.
//!
//! ```text
//! "R0BF"  version: u32  header: u32 length, bytes  user ELF: u32 length, bytes  kernel ELF: the rest
//! ```

use std::sync::{Mutex, MutexGuard, PoisonError};

use risc0_binfmt::{AbiKind, MemoryImage, ProgramBinary};
use runner_shared::{Error, Result, elf::Headers};

/// Programs and their memory images, the one used last first. Loading a program and hashing its
/// pages takes as long as all the rest of a small run. A copy of an image shares its pages.
static LOADED: Mutex<Vec<(Vec<u8>, MemoryImage)>> = Mutex::new(Vec::new());

/// How many images are kept. A batch runs two programs.
const MAX_LOADED: usize = 4;

/// How much the segments of one ELF may occupy in memory. Loading this much takes some ten seconds.
const MAX_LOADED_BYTES: u64 = 128 << 20;

/// A program's memory before its first instruction. Two programs are the same if all their bytes
/// are.
pub fn image(binary: &[u8]) -> Result<MemoryImage> {
    let mut loaded = loaded();
    if let Some(at) = loaded.iter().position(|(known, _)| known == binary) {
        loaded[..=at].rotate_right(1);
        return Ok(loaded[0].1.clone());
    }
    drop(loaded);
    // The lock is not held while the program is loaded: a bad binary may take seconds, or panic.
    let image = load(binary)?;
    let mut loaded = self::loaded();
    loaded.truncate(MAX_LOADED - 1);
    loaded.insert(0, (binary.to_vec(), image.clone()));
    Ok(image)
}

fn loaded() -> MutexGuard<'static, Vec<(Vec<u8>, MemoryImage)>> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Load a program as `ExecutorImpl::from_elf` does, which does not give its image away.
fn load(binary: &[u8]) -> Result<MemoryImage> {
    let refused = |why: &str| Error::BadElf(format!("not a program binary: {why}"));
    let program = ProgramBinary::decode(binary).map_err(|error| refused(&format!("{error:#}")))?;
    for elf in [program.user_elf, program.kernel_elf] {
        Headers::read(elf, MAX_LOADED_BYTES).map_err(|problem| refused(&problem))?;
    }
    let header = &program.header;
    if header.abi_kind != AbiKind::V1Compat || header.abi_version.major != 1 {
        return Err(refused("of another ABI than v1compat 1"));
    }
    program
        .to_image()
        .map_err(|error| refused(&format!("{error:#}")))
}
