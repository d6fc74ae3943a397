//! How much memory is free for models.

use candle_core::Device;
use stillroom_models::device;

/// What is assumed where nothing can be asked.
const UNKNOWN: u64 = 4 << 30;

/// Free bytes of a device: its own, or the machine's where it has none of its own.
pub(crate) fn free_bytes(on: &Device) -> u64 {
    device::free_bytes(on).or_else(machine).unwrap_or(UNKNOWN)
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn available_memory_is_read_in_bytes() {
        let text = "MemTotal:       24619476 kB\nMemAvailable:   12345678 kB\nBuffers: 1 kB\n";
        assert_eq!(super::available(text), Some(12_345_678 << 10));
        assert_eq!(super::available("MemTotal: 1 kB\n"), None);
    }
}
