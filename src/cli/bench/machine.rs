//! What the machine can do, measured at the start of a bench, and what the process takes of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde::Serialize;
use stillroom_kernels::linear::{Format, Linear, RowOrder, Weight};

use crate::{Error, Result};

/// Larger than any cache that is not a whole machine's.
const N_READ_BYTES: usize = 256 << 20;
/// The best of so many counts: a busy machine can only make a measurement worse.
const N_TRIES: usize = 5;

/// The two limits that floors are made of.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Roof {
    /// Bytes read per second, all threads together.
    pub(super) bytes_per_s: f64,
    /// Operations per second of a large matrix product in the type that the device computes in.
    pub(super) flops_per_s: f64,
}

impl Roof {
    /// Measures both on `device`.
    ///
    /// # Errors
    /// When the device fails.
    pub(super) fn measure(device: &Device) -> Result<Self> {
        let bytes_per_s = if device.is_cpu() {
            cpu_bandwidth()
        } else {
            device_bandwidth(device).map_err(fault)?
        };
        let flops_per_s = product_rate(device).map_err(fault)?;
        Ok(Self { bytes_per_s, flops_per_s })
    }
}

/// Every thread sums its part of a large array.
fn cpu_bandwidth() -> f64 {
    let words = vec![1u64; N_READ_BYTES / size_of::<u64>()];
    let part = words.len().div_ceil(rayon::current_num_threads());
    let read = || words.par_chunks(part).map(|part| part.iter().sum::<u64>()).sum::<u64>();
    N_READ_BYTES as f64 / best(|| Ok(read())).unwrap_or(Duration::MAX).as_secs_f64()
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

/// On a CPU the product is our own: candle's reaches half of it there, and a floor that the engine
/// undercuts says nothing.
fn product_rate(device: &Device) -> candle_core::Result<f64> {
    let (n, dtype) = if device.is_cpu() { (1024, DType::F32) } else { (8192, DType::BF16) };
    let x = Tensor::ones((n, n), dtype, device)?;
    let weight = Weight::from_tensor(&x, Format::choose(None, n, dtype, device), device)?;
    let product = Linear::new(Arc::new(weight), RowOrder::Fastest);
    let time = best(|| {
        let y = product.forward(&x)?;
        device.synchronize()?;
        Ok(y)
    })?;
    Ok(2.0 * (n as f64).powi(3) / time.as_secs_f64())
}

fn best<T>(mut run: impl FnMut() -> candle_core::Result<T>) -> candle_core::Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..N_TRIES {
        let start = Instant::now();
        std::hint::black_box(run()?);
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
