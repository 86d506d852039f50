//! Program binaries: a check of their size before they are loaded, and those loaded most recently.
//!
//! ```text
//! "R0BF"  version: u32  header: u32 length, bytes  user ELF: u32 length, bytes  kernel ELF: the rest
//! ```

use std::sync::{Mutex, MutexGuard, PoisonError};

use risc0_binfmt::{AbiKind, MemoryImage, ProgramBinary};
use runner_shared::{
    Error, Result,
    elf::{loaded_bytes, word},
};

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

/// Refuse a binary if one of its ELFs asks for more than [`MAX_LOADED_BYTES`].
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

/// The user's ELF and the kernel's, or `None` where the bytes end too early to be a binary.
fn elves(binary: &[u8]) -> Option<[&[u8]; 2]> {
    let header = word(binary, 8)? as usize;
    let rest = binary.get(12..)?.get(header..)?;
    let user = word(rest, 0)? as usize;
    rest.get(4..)?.split_at_checked(user).map(<[_; 2]>::from)
}
