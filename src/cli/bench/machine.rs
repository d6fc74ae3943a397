//! What the machine can do, measured at the start of a bench, and what the process takes of it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde::Serialize;
use stillroom_kernels::roof::{FLOPS_PER_STEP, multiply_adds, read_all};

use crate::{Error, Result};

/// Larger than any cache that is not a whole machine's.
const N_READ_BYTES: usize = 256 << 20;
/// The best of so many counts: a busy machine can only make a measurement worse.
const N_TRIES: usize = 5;
/// Steps of multiply-adds, some milliseconds.
const N_STEPS: usize = 4_000_000;

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

/// A copy with a sum: each byte is read once and written once.
fn device_bandwidth(device: &Device) -> candle_core::Result<f64> {
    let x = Tensor::zeros(N_READ_BYTES / 4, DType::F32, device)?;
    let time = best(|| {
        let sum = x.affine(1.0, 1.0)?;
        device.synchronize()?;
        Ok(sum)
    })?;
    Ok(2.0 * N_READ_BYTES as f64 / time.as_secs_f64())
}

/// A product that is large enough to use all of a GPU.
fn product_rate(device: &Device) -> candle_core::Result<f64> {
    let n = 8192;
    let x = Tensor::ones((n, n), DType::BF16, device)?;
    let time = best(|| {
        let y = x.matmul(&x)?;
        device.synchronize()?;
        Ok(y)
    })?;
    Ok(2.0 * (n as f64).powi(3) / time.as_secs_f64())
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
