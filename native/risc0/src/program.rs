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

#[cfg(test)]
mod tests {
    use super::*;

    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/src/mutation.rs"
    ));

    fn refusal(binary: &[u8]) -> String {
        match load(binary) {
            Err(Error::BadElf(message)) => message,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("it is a program"),
        }
    }

    fn fibonacci() -> Vec<u8> {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../guests/elfs/fibonacci.bin"
        );
        std::fs::read(path).unwrap()
    }

    #[test]
    fn a_damaged_program_is_loaded_or_refused() {
        let whole = fibonacci();
        assert!(load(&whole).is_ok());
        for round in 0..200 {
            let loaded = runner_shared::guarded(|| load(&mutated(&whole, round)));
            assert!(
                matches!(loaded, Ok(_) | Err(Error::BadElf(_))),
                "round {round}"
            );
        }
    }

    #[test]
    fn program_headers_speak_of_bytes_that_are_there() {
        let whole = fibonacci();
        let elf = whole
            .windows(4)
            .position(|bytes| bytes == b"\x7fELF")
            .unwrap();
        let table = elf + u32::from_le_bytes(*whole[elf + 28..].first_chunk().unwrap()) as usize;
        let header = (table..)
            .step_by(32)
            .find(|at| whole[*at] == 1 && whole[*at + 16..*at + 20] != [0; 4])
            .unwrap();
        for (at, problem) in [(header + 7, "ends at byte"), (header + 19, "more than its")] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            let message = refusal(&damaged);
            assert!(message.contains(problem), "{message}");
        }
    }
}
