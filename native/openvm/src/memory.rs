//! How this process gets its memory from the operating system.

use std::sync::Once;

/// Keep freed memory for the next proof. A proof takes and frees gigabytes in large blocks. The C
/// library would map and unmap each of them, and the kernel would clear it page by page, which
/// takes an eighth of a proof's time (docs/figures/provers.md). The peak remains the same, but the
/// process does not shrink between proofs.
pub fn keep_freed() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: mallopt may be called at any time. It affects later allocations only.
        unsafe {
            libc::mallopt(libc::M_MMAP_MAX, 0);
            // No number of bytes would be enough: more than 2 GiB cannot be given, and a proof takes
            // more than that. -1 stands for never.
            libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        }
    });
}

/// Let threads share the C library's arenas: as many as there are cores. All arenas except the first unmap
/// what is freed in them, whatever else is set, and the library would make eight for each core. Threads
/// that share one wait for each other where they allocate at once (docs/figures/provers.md).
///
/// It counts for threads that do not allocate before it is called, so it is called when the module is
/// loaded.
pub fn share_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let arenas = i32::try_from(cores).unwrap_or(i32::MAX);
        // SAFETY: mallopt may be called at any time.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, arenas) };
    }
}
