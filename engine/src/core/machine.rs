//! What the machine says of memory. Where it says nothing (other systems than Linux), there is no limit.

use std::fs;

/// Memory of the process, in bytes; unknown in a simulation, which has to replay.
pub fn process_bytes() -> Option<usize> {
    if super::runtime::simulated() {
        return None;
    }
    let status = fs::read_to_string("/proc/self/status").ok()?;
    kilobytes(&status, "VmRSS:")
}

/// Memory that this process may use: the machine's, or less where its control group says so.
pub fn memory_bytes() -> Option<usize> {
    let machine = kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")?;
    let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limits =
        groups.iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    Some(limits.fold(machine, usize::min))
}

/// The value of a line `name   1234 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<usize> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_kilobytes() {
        assert_eq!(kilobytes("VmPeak:\t 9 kB\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12_288));
        assert_eq!(kilobytes("MemTotal: x kB", "MemTotal:"), None);
    }
}
