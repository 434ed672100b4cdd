//! What the daemon costs, as /proc tells it.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What the daemon costs. What /proc does not tell is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    /// Processor time, its own and the kernel's for it.
    pub cpu: Duration,
    /// Memory in use, in bytes.
    pub resident: Option<u64>,
    /// Address space, in bytes.
    pub virtual_size: Option<u64>,
    /// Open files.
    pub open_files: Option<u64>,
    /// Files that may be open.
    pub most_files: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// When it started, in seconds since the epoch.
    pub start: Option<f64>,
}

impl Process {
    /// Of this process, now.
    pub fn own() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Self {
            cpu: Duration::new(cpu.tv_sec.unsigned_abs(), cpu.tv_nsec as u32),
            resident: number_after(&status, "VmRSS:").map(|kib| kib * 1_024),
            virtual_size: number_after(&status, "VmSize:").map(|kib| kib * 1_024),
            open_files: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|files| files.count() as u64),
            most_files: number_after(&limits, "Max open files"),
            threads: number_after(&status, "Threads:"),
            start: start(),
        }
    }
}

/// The first number of the line that begins so.
fn number_after(text: &str, begin: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(begin))?;
    line.split_whitespace().next()?.parse().ok()
}

/// proc(5): the 22nd field of stat, in ticks since the machine's start. The second one is the name,
/// in parentheses, and may hold anything.
fn start() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().nth(22 - 3)?.parse().ok()?;
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let boot = number_after(&machine, "btime ")?;
    Some(boot as f64 + ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_costs_something_and_started_lately() {
        let process = Process::own();
        assert!(process.cpu > Duration::ZERO, "{process:?}");
        assert!(process.resident.unwrap() > 100_000, "{process:?}");
        assert!(process.virtual_size >= process.resident, "{process:?}");
        assert!(process.open_files.unwrap() >= 3, "{process:?}");
        assert!(process.most_files > process.open_files, "{process:?}");
        assert!(process.threads.unwrap() >= 1, "{process:?}");
        let now = engine::now() as f64 / 1e9;
        let age = now - process.start.unwrap();
        assert!((-2.0..3_600.0).contains(&age), "{age}");
    }
}
