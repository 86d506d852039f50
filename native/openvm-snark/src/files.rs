//! The folder that the steps leave their files in.

use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use eyre::{Result, WrapErr as _};
use serde::{Serialize, de::DeserializeOwned};

pub struct Folder(PathBuf);

impl Folder {
    pub fn new(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).wrap_err_with(|| path.display().to_string())?;
        Ok(Folder(path.to_owned()))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Write a file under another name first, so that a step which is cut short leaves none.
    pub fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
    ) -> Result<()> {
        let (path, part) = (self.path(name), self.path(&format!("{name}.part")));
        let written = || -> std::io::Result<()> {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let mut file = BufWriter::with_capacity(1 << 20, File::create(&part)?);
            write(&mut file)?;
            file.flush()?;
            fs::rename(&part, &path)
        };
        written().wrap_err_with(|| path.display().to_string())?;
        eprintln!(
            "wrote {} ({} bytes)",
            path.display(),
            fs::metadata(&path)?.len()
        );
        Ok(())
    }

    pub fn open(&self, name: &str) -> Result<BufReader<File>> {
        let path = self.path(name);
        let file = File::open(&path).wrap_err_with(|| path.display().to_string())?;
        Ok(BufReader::with_capacity(1 << 20, file))
    }

    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        self.write(name, |file| {
            serde_json::to_writer(file, value).map_err(std::io::Error::other)
        })
    }

    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        serde_json::from_reader(self.open(name)?).wrap_err_with(|| name.to_owned())
    }
}

/// Give freed memory back to the operating system, since the next part of a step needs it elsewhere.
pub fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The most memory that this process had at a time, without what was swapped out meanwhile.
pub fn peak_megabytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1000
}
