//! What processes have used: time on the processor, and memory.

use std::time::Duration;

use nix::time::ClockId;

/// Time that this process has been running, on all processors.
pub(crate) fn own_cpu() -> Duration {
    ClockId::CLOCK_PROCESS_CPUTIME_ID
        .now()
        .map_or(Duration::ZERO, Duration::from)
}

/// Time that another process has been running; `None` if there is none of this number.
#[cfg(target_os = "linux")]
pub(crate) fn cpu_of(pid: u32) -> Option<Duration> {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).ok()?);
    let clock = ClockId::pid_cpu_clock_id(pid).ok()?;
    clock.now().ok().map(Duration::from)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn cpu_of(_: u32) -> Option<Duration> {
    None
}

/// Bytes of memory that a process holds, where the system tells.
pub(crate) fn memory_of(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    resident(&status)
}

/// The resident set of a `/proc/PID/status`, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_set_is_found_among_the_others() {
        let status = "Name:\tbench\nVmHWM:\t    9000 kB\nVmRSS:\t    8124 kB\nThreads:\t1\n";
        assert_eq!(resident(status), Some(8_124 * 1_024));
        assert_eq!(resident("Name:\tbench\n"), None);
    }

    #[test]
    fn time_on_the_processor_passes() {
        let before = own_cpu();
        while own_cpu() == before {
            std::hint::black_box(0);
        }
        assert!(own_cpu() > before);
    }
}
