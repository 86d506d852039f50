//! The file that proving keys are kept in.
//!
//! ```text
//! "ZKOVKEYS"  SHA-256 of the rest: 32 bytes  bitcode(keys)
//! ```
//!
//! Its name has the version of OpenVM and the digest of the VM's definition, which follows from all
//! parameters.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use runner_shared::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use crate::vm;

const MAGIC: &[u8; 8] = b"ZKOVKEYS";

/// The most bytes that a file may have. The runner's has some two megabytes.
const MAX_BYTES: u64 = 1 << 30;

pub fn path(folder: &Path) -> Result<PathBuf> {
    let digest = Sha256::digest(vm::definition_bytes()?);
    let name: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(folder.join(format!("openvm-{}-{name}.keys", vm::OPENVM_VERSION)))
}

/// Wait until no other process makes keys in `folder`, and keep others from it. The kernel frees
/// the lock of a process that is killed.
pub fn lock(folder: &Path) -> Result<File> {
    let locked = || -> std::io::Result<File> {
        fs::create_dir_all(folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        Ok(lock)
    };
    locked().map_err(|error| unwritable(folder, &error))
}

pub fn write(keys: &impl Serialize, path: &Path) -> std::io::Result<()> {
    let payload = bitcode::serialize(keys).map_err(std::io::Error::other)?;
    let mut file = File::create(path)?;
    file.write_all(MAGIC)?;
    file.write_all(&Sha256::digest(&payload))?;
    file.write_all(&payload)?;
    file.sync_all()
}

/// The keys that a file contains, provided that its checksum is right.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let damaged = |what: String| Error::BadKeys(format!("{}: {what}", path.display()));
    let length = fs::metadata(path)
        .map_err(|error| damaged(error.to_string()))?
        .len();
    if length > MAX_BYTES {
        return Err(damaged(format!("{length} bytes, more than {MAX_BYTES}")));
    }
    let bytes = fs::read(path).map_err(|error| damaged(error.to_string()))?;
    let payload = bytes
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.split_at_checked(32))
        .filter(|(digest, payload)| Sha256::digest(payload)[..] == **digest)
        .map(|(_, payload)| payload)
        .ok_or_else(|| damaged("not keys, or damaged".into()))?;
    bitcode::deserialize(payload).map_err(|error| damaged(error.to_string()))
}

pub fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::BadKeys(format!("{} cannot be written: {error}", path.display()))
}
