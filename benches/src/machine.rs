//! What the process has used so far, as the kernel counts it.

use std::fs;

use elanus_engine::core::runtime::Stopwatch;
use serde_json::{Value, json};

use crate::Failure;

/// Ticks of `/proc/PID/stat` in a second; Linux shows user programs 100 on every machine.
const TICKS: f64 = 100.0;

/// CPU seconds of the process, user and system, all threads, those that ended too; in steps of 10 ms.
pub fn cpu_seconds() -> Result<f64, Failure> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name of the program, in brackets, may hold anything; what follows is numbers.
    let numbers = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: Vec<f64> =
        numbers.split_whitespace().skip(11).take(2).flat_map(str::parse).collect();
    match ticks[..] {
        [user, system] => Ok((user + system) / TICKS),
        _ => Err("/proc/self/stat has another form than Linux gives it".into()),
    }
}

/// Memory that the process holds (`VmRSS`) and the most it held (`VmHWM`), bytes.
pub fn memory_bytes() -> Result<(u64, u64), Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| -> Result<u64, Failure> {
        let line = status.lines().find_map(|l| l.strip_prefix(name));
        let kib = line.and_then(|l| l.split_whitespace().next()).ok_or("no memory in status")?;
        Ok(kib.parse::<u64>()? * 1024)
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

/// CPU and wall time since a moment.
#[derive(Debug)]
pub struct Meter {
    cpu: f64,
    wall: Stopwatch,
}

impl Meter {
    /// Starts now.
    pub fn start() -> Result<Self, Failure> {
        Ok(Self { cpu: cpu_seconds()?, wall: Stopwatch::start() })
    }

    /// CPU seconds since the start.
    pub fn cpu(&self) -> Result<f64, Failure> {
        Ok(cpu_seconds()? - self.cpu)
    }

    /// Times since the start and the memory of now, as JSON.
    pub fn report(&self) -> Result<Value, Failure> {
        let (rss, most) = memory_bytes()?;
        Ok(json!({
            "cpu_seconds": self.cpu()?,
            "wall_seconds": self.wall.elapsed().as_secs_f64(),
            "rss_bytes": rss,
            "rss_most_bytes": most,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_grows_with_work_and_memory_is_there() {
        let meter = Meter::start().expect("a meter");
        let mut sum = 0u64;
        while meter.cpu().expect("time") < 0.02 {
            sum = sum.wrapping_add(std::hint::black_box(sum) ^ 7);
        }
        assert!(memory_bytes().expect("memory").0 > 1 << 20);
    }
}
