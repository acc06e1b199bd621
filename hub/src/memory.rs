//! What the program keeps of memory that it no longer uses.
#![expect(unsafe_code, reason = "calls into the C library's allocator, which has no other interface")]

/// From this size on, a block is the system's: taken for itself, and given back when it is freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 1024 * 1024;

/// Gives large blocks back to the system as soon as they are freed.
///
/// By itself glibc raises its limit for that to the largest block that was ever freed (mallopt(3), `M_MMAP_THRESHOLD`), and
/// then keeps such blocks. Checking a key takes one of 19 MiB, which an idle hub would hold on to for each thread that ever
/// checked one. Call it before there are threads.
pub fn give_back_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it sets a number in the allocator; nothing else runs yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Gives back what was freed between blocks that are still used: what it takes to set up the routes is needed once, and a
/// thousand requests that came together seldom come so again. By itself the allocator keeps all but its last block.
pub fn give_back_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it may be called at any time, from any thread (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}
