//! What the machine can do, measured at the start of a bench, and what the process takes of it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde::Serialize;
use stillroom_kernels::roof::{FLOPS_PER_STEP, multiply_adds, read_all};
use stillroom_kernels::sample::philox::{Philox, Purpose};
use stillroom_models::device;

use crate::{Error, Result};

/// Larger than any cache that is not a whole machine's.
const N_READ_BYTES: usize = 256 << 20;
/// The best of so many counts: a busy machine can only make a measurement worse.
const N_TRIES: usize = 5;
/// Steps of multiply-adds, some milliseconds.
const N_STEPS: usize = 4_000_000;

/// Launches on a device for one wait, which would else be a tenth of the time that is measured.
const N_LAUNCHES: usize = 20;
/// A measurement on a device that is long enough; nothing larger is tried after it.
const LONG: Duration = Duration::from_millis(50);
/// Time after which a device is not measured again.
const PATIENCE: Duration = Duration::from_secs(1);
/// Elements of an array that is copied, in f32; the largest is [`N_READ_BYTES`].
const N_COPIED: [usize; 3] = [1 << 18, 1 << 22, N_READ_BYTES / size_of::<f32>()];
/// Rows of a square that is multiplied. The first are for a device that only software stands in
/// for, where the last would never end.
const N_ROWS: [usize; 8] = [64, 128, 256, 512, 1024, 2048, 4096, 8192];

/// The two limits that floors are made of.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Roof {
    /// Bytes read per second, all threads together.
    pub(super) bytes_per_s: f64,
    /// Operations per second: on a CPU multiply-adds in f32 registers on all threads, elsewhere a
    /// large matrix product in bf16.
    pub(super) flops_per_s: f64,
}

impl Roof {
    /// Measures both on `device`.
    ///
    /// # Errors
    /// When the device fails.
    pub(super) fn measure(device: &Device) -> Result<Self> {
        if device.is_cpu() {
            return Ok(Self { bytes_per_s: cpu_bandwidth(), flops_per_s: cpu_rate() });
        }
        Ok(Self {
            bytes_per_s: device_bandwidth(device).map_err(fault)?,
            flops_per_s: product_rate(device).map_err(fault)?,
        })
    }

    /// The same machine where weights are 8-bit blocks: one instruction multiplies four times as
    /// many of them.
    pub(super) fn in_bytes(self) -> Self {
        Self { flops_per_s: 4.0 * self.flops_per_s, ..self }
    }
}

/// Every thread reads its parts of a large array.
fn cpu_bandwidth() -> f64 {
    let data = vec![1.0f32; N_READ_BYTES / size_of::<f32>()];
    let part = data.len().div_ceil(8 * rayon::current_num_threads());
    let read = || black_box(data.par_chunks(part).map(read_all).sum::<f32>());
    N_READ_BYTES as f64 / best(|| Ok(read())).unwrap_or(Duration::MAX).as_secs_f64()
}

/// Every thread multiplies and adds for a while.
fn cpu_rate() -> f64 {
    let multiply = || rayon::broadcast(|_| black_box(multiply_adds(black_box(0.999), N_STEPS)));
    let time = best(|| Ok(multiply())).unwrap_or(Duration::MAX);
    (rayon::current_num_threads() * N_STEPS * FLOPS_PER_STEP) as f64 / time.as_secs_f64()
}

/// The driver's own copy: each byte is read once and written once. A kernel of candle's, which a card
/// of 3.3 TB/s ran at 1.9, makes a floor that models then stay above.
fn device_bandwidth(device: &Device) -> candle_core::Result<f64> {
    let sizes = affordable(&N_COPIED, device, |n| 2 * n * size_of::<f32>());
    let copy = |x: &Tensor, n| timed(device, n, || x.copy());
    let (n, per_s) = peak_rate(sizes, |n| noise(n, device), copy)?;
    Ok(per_s * 2.0 * (n * size_of::<f32>()) as f64)
}

/// A product that is large enough to use all of a GPU. Of noise: a card that multiplies ones draws
/// so little power that it runs faster than with any model.
fn product_rate(device: &Device) -> candle_core::Result<f64> {
    // The noise in f32, then itself and a product in bf16.
    let sizes = affordable(&N_ROWS, device, |n| n * n * (size_of::<f32>() + 2 * 2));
    let square = |n| noise(n * n, device)?.reshape((n, n))?.to_dtype(DType::BF16);
    let multiply = |x: &Tensor, n| timed(device, n, || x.matmul(x));
    let (n, per_s) = peak_rate(sizes, square, multiply)?;
    Ok(per_s * 2.0 * (n as f64).powi(3))
}

/// The sizes that half of the device's free memory holds, but for the first, which it must.
fn affordable<'a>(
    sizes: &'a [usize],
    device: &Device,
    bytes: impl Fn(usize) -> usize,
) -> &'a [usize] {
    let room = device::free_bytes(device).map_or(u64::MAX, |free| free / 2);
    let n_held = sizes.iter().take_while(|size| bytes(**size) as u64 <= room).count();
    &sizes[..n_held.max(1)]
}

/// Numbers between -1 and 1, the same at each call; after a million they begin again.
fn noise(n: usize, device: &Device) -> candle_core::Result<Tensor> {
    let stream = Philox::new(0);
    let number = |at| 2.0 * stream.uniform(at as u64, Purpose::Weights) as f32 - 1.0;
    let n_own = n.min(1 << 20);
    let own: Vec<f32> = (0..n_own).map(number).collect();
    let own = Tensor::from_vec(own, n_own, device)?;
    if n == n_own { Ok(own) } else { own.repeat(n / n_own) }
}

/// Time of `n` launches and one wait.
fn timed(
    device: &Device,
    n: usize,
    launch: impl Fn() -> candle_core::Result<Tensor>,
) -> candle_core::Result<Duration> {
    device.synchronize()?;
    let start = Instant::now();
    for _ in 0..n {
        black_box(launch()?);
    }
    device.synchronize()?;
    Ok(start.elapsed())
}

/// The largest of `sizes` that is not [`LONG`], or the first that is, and launches a second of it.
/// `time` says how long so many launches take of what was prepared.
fn peak_rate<T>(
    sizes: &[usize],
    mut prepare: impl FnMut(usize) -> candle_core::Result<T>,
    mut time: impl FnMut(&T, usize) -> candle_core::Result<Duration>,
) -> candle_core::Result<(usize, f64)> {
    let mut spent = Duration::ZERO;
    let mut reached = None;
    for &size in sizes {
        let prepared = prepare(size)?;
        // Twice, for the first launch of a kernel loads it.
        let (first, second) = (time(&prepared, 1)?, time(&prepared, 1)?);
        spent += first + second;
        let fastest = first.min(second);
        reached = Some((size, prepared, fastest));
        if fastest >= LONG {
            break;
        }
    }
    let (size, prepared, fastest) = reached.expect("there is a size");
    let mut per_s = 1.0 / fastest.as_secs_f64();
    let n_launches = (LONG.as_secs_f64() * per_s).clamp(1.0, N_LAUNCHES as f64) as usize;
    for _ in 0..N_TRIES {
        if spent >= PATIENCE {
            break;
        }
        let taken = time(&prepared, n_launches)?;
        spent += taken;
        per_s = per_s.max(n_launches as f64 / taken.as_secs_f64());
    }
    Ok((size, per_s))
}

fn best<T>(mut run: impl FnMut() -> candle_core::Result<T>) -> candle_core::Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..N_TRIES {
        let start = Instant::now();
        black_box(run()?);
        best = best.min(start.elapsed());
    }
    Ok(best)
}

/// Memory of this process.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Memory {
    /// Resident now.
    pub(super) rss_bytes: u64,
    /// Most that was ever resident.
    pub(super) peak_rss_bytes: u64,
}

/// What the kernel says of this process; `None` where it does not say it the Linux way.
pub(super) fn memory() -> Option<Memory> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    Some(Memory { rss_bytes: kib("VmRSS")? << 10, peak_rss_bytes: kib("VmHWM")? << 10 })
}

fn fault(error: candle_core::Error) -> Error {
    Error::environment_from("the device failed a plain product", "try `--device cpu`", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Size reached, launches a second and seconds spent on a device that computes so many units a
    /// second, takes so long for a wait, and loads a kernel at its first launch.
    fn check(units_per_s: f64, wait_s: f64, load_s: f64) -> (usize, f64, f64) {
        let (mut loaded, mut spent_s) = (0, 0.0);
        let (size, per_s) = peak_rate(&[10, 100, 1000], Ok, |&size, n| {
            let load_s = if loaded < size { load_s } else { 0.0 };
            loaded = size;
            let time_s = load_s + wait_s + (n * size) as f64 / units_per_s;
            spent_s += time_s;
            Ok(Duration::from_secs_f64(time_s))
        })
        .unwrap();
        (size, per_s, spent_s)
    }

    #[test]
    fn launches_are_counted_without_their_waits() {
        // 1000 units take a millisecond, as does a wait, and a kernel is loaded in 200.
        let (size, per_s, _) = check(1e6, 1e-3, 0.2);
        assert_eq!(size, 1000);
        assert!((950.0..1000.0).contains(&per_s), "{per_s}");
    }

    #[test]
    fn a_slow_device_is_left_soon() {
        let (size, per_s, spent_s) = check(1000.0, 0.0, 0.0);
        assert_eq!(size, 100, "a tenth of a second is long enough");
        assert!((per_s - 10.0).abs() < 1e-6, "{per_s}");
        assert!(spent_s < 1.0, "{spent_s}");
        let (size, per_s, spent_s) = check(1.0, 0.0, 0.0);
        assert_eq!((size, spent_s), (10, 20.0), "the smallest, twice");
        assert!((per_s - 0.1).abs() < 1e-6, "{per_s}");
    }

    #[test]
    fn noise_is_mixed_and_always_the_same() {
        let n = 1 << 21;
        let noise = noise(n, &Device::Cpu).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(noise.len(), n);
        assert_eq!(noise[..9], noise[n / 2..n / 2 + 9]);
        let mean = noise.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64;
        let square = noise.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.01 && (square - 1.0 / 3.0).abs() < 0.01, "{mean} {square}");
    }

    #[test]
    fn a_device_has_a_roof() {
        // Candle's own processor stands for one.
        assert!(device_bandwidth(&Device::Cpu).unwrap() > 1e6);
        assert!(product_rate(&Device::Cpu).unwrap() > 1e6);
    }
}
