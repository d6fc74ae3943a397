//! How much memory is free for models, and whether a model that went has given its own back.

use std::collections::BTreeMap;

use candle_core::Device;
use stillroom_models::device;

/// One part in this many of a device may stay missing: what libraries keep for themselves.
const MISSING_SHARE: u64 = 100;

/// What is assumed where nothing can be asked.
const UNKNOWN: u64 = 4 << 30;

/// Free bytes of a device: its own, or the machine's where it has none of its own.
pub(crate) fn free_bytes(on: &Device) -> u64 {
    device::free_bytes(on).or_else(machine).unwrap_or(UNKNOWN)
}

/// What the resident models took from a device with memory of its own.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Free before any model came.
    free_at_start: u64,
    /// Bytes that became less free when each model came.
    taken: BTreeMap<String, u64>,
}

impl Ledger {
    pub(crate) fn new(free_at_start: u64) -> Self {
        Self { free_at_start, taken: BTreeMap::new() }
    }

    /// Notes that a model is in memory, which left `free` bytes of `free_before`.
    pub(crate) fn came(&mut self, model: &str, free_before: u64, free: u64) {
        self.taken.insert(model.to_owned(), free_before.saturating_sub(free));
    }

    /// Notes that a model is gone; a sentence when less is free than before all those came that
    /// are no longer here.
    pub(crate) fn went(&mut self, model: &str, free: u64) -> Option<String> {
        self.taken.remove(model)?;
        let wanted = self.free_at_start.saturating_sub(self.taken.values().sum());
        let missing = wanted.saturating_sub(free);
        (missing > self.free_at_start / MISSING_SHARE).then(|| {
            let mib = |bytes: u64| bytes >> 20;
            format!(
                "its memory has not all come back: {} MiB of the device are free, {} MiB were",
                mib(free),
                mib(wanted)
            )
        })
    }
}

/// Bytes of the machine that could hold files.
pub(crate) fn for_files() -> u64 {
    // Half, because rows and everybody else also want some of it.
    machine().unwrap_or(UNKNOWN) / 2
}

/// What the kernel calls available, within the limit of this process's group.
#[cfg(target_os = "linux")]
fn machine() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let available = available(&text)?;
    let number = |name: &str| {
        let text = std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let group = number("memory.max").zip(number("memory.current"));
    let left = group.map_or(u64::MAX, |(most, used)| most.saturating_sub(used));
    Some(available.min(left))
}

#[cfg(target_os = "linux")]
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Half of what is built in: how much of it is free cannot be read without a library.
#[cfg(not(target_os = "linux"))]
fn machine() -> Option<u64> {
    let output = std::process::Command::new("sysctl").args(["-n", "hw.memsize"]).output().ok()?;
    let bytes: u64 = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    Some(bytes / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn memory_that_does_not_come_back_is_told() {
        let mut ledger = Ledger::new(100 * GIB);
        ledger.came("llama", 100 * GIB, 80 * GIB);
        ledger.came("judge", 80 * GIB, 10 * GIB);
        assert_eq!(ledger.went("llama", 30 * GIB), None, "all of it");
        assert_eq!(ledger.went("never opened", 30 * GIB), None);
        ledger.came("mixtral", 30 * GIB, 5 * GIB);
        assert_eq!(ledger.went("judge", 74 * GIB), None, "within one part in a hundred");
        let note = ledger.went("mixtral", 90 * GIB).unwrap();
        assert!(note.contains("92160 MiB of the device are free, 102400 MiB were"), "{note}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn available_memory_is_read_in_bytes() {
        let text = "MemTotal:       24619476 kB\nMemAvailable:   12345678 kB\nBuffers: 1 kB\n";
        assert_eq!(super::available(text), Some(12_345_678 << 10));
        assert_eq!(super::available("MemTotal: 1 kB\n"), None);
    }
}
