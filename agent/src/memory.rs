//! What the program keeps of memory that it no longer uses.
#![expect(unsafe_code, reason = "calls into the C library's allocator, which has no other interface")]

/// Pools that threads share. glibc makes up to eight for each core, and each keeps what it once needed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const POOLS: libc::c_int = 2;
/// From this size on, a block is the system's: taken for itself, and given back when it is freed. Batches and large mails are.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 256 * 1024;

/// Keeps few pools and no large blocks, so that a drained backlog leaves nothing behind. Call it before there are threads.
pub(crate) fn keep_little() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it sets numbers in the allocator (mallopt(3)); nothing else runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, POOLS);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}
