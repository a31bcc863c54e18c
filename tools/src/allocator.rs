//! The system's allocator keeps what was freed, for each thread as much again. Where the settings limit the memory of
//! the process, it is told to give large pieces back at once; that costs time, so only there.

/// What glibc reads when a program starts; others ignore it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const FRUGAL: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "2"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];

/// Starts this program anew, in its own place, with a frugal allocator; returns if it has one already or if there is
/// none. To be called before anything is opened.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn make_frugal() {
    use std::os::unix::process::CommandExt;

    let told = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if FRUGAL.iter().any(|(name, _)| told(name)) {
        return;
    }
    let failed = match std::env::current_exe() {
        Ok(program) => std::process::Command::new(program)
            .args(std::env::args_os().skip(1))
            .envs(FRUGAL)
            .exec(),
        Err(e) => e,
    };
    tracing::warn!(
        "the allocator stays as it is: {failed}; memory may go above memory.limit_bytes"
    );
}

/// Other allocators are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn make_frugal() {}
