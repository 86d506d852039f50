//! How this process gets its memory.

use std::sync::Once;

/// Keep what is freed for the next proof. A proof takes and frees gigabytes in large blocks, each of
/// which the C library would map and unmap, and the kernel clear page by page: an eighth of a proof's
/// time (docs/provers.md). The peak stays the same; between proofs the process does not shrink.
pub fn keep_freed() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: mallopt may be called at any time; it concerns later allocations.
        unsafe {
            libc::mallopt(libc::M_MMAP_MAX, 0);
            libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        }
    });
}
