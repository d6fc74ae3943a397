//! What the machine can do at most, on all threads: bytes read and multiply-adds in a second.

use rayon::prelude::*;
use std::fmt;
use std::hint::black_box;
use std::time::Instant;

/// The limits, measured.
pub(crate) struct Floor {
    bytes_per_second: f64,
    flops_per_second: f64,
    n_threads: usize,
}

impl Floor {
    pub(crate) fn measure() -> Self {
        let n_threads = rayon::current_num_threads();
        let data = vec![1.0f32; 64 << 20];
        let read = best(|| {
            let chunks = data.par_chunks(data.len().div_ceil(n_threads * 8));
            black_box(chunks.map(sum).sum::<f32>());
        });
        const STEPS: usize = 4_000_000;
        let multiply = best(|| {
            rayon::broadcast(|_| black_box(multiply_adds(black_box(0.999), STEPS)));
        });
        Self {
            bytes_per_second: size_of_val(data.as_slice()) as f64 / read,
            flops_per_second: (n_threads * STEPS * FLOPS_PER_STEP) as f64 / multiply,
            n_threads,
        }
    }

    /// The least time that so much work can take: reading or computing, whichever is longer.
    pub(crate) fn seconds(&self, bytes: f64, flops: f64) -> f64 {
        (bytes / self.bytes_per_second).max(flops / self.flops_per_second)
    }
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} threads: reads {:.1} GB/s, multiply-adds {:.0} GFLOP/s in f32",
            self.n_threads,
            self.bytes_per_second / 1e9,
            self.flops_per_second / 1e9
        )
    }
}

fn best(run: impl Fn()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..7).map(time).fold(f64::INFINITY, f64::min)
}

/// Reads `data` as fast as one thread can: the widest loads, since narrow ones find no more than
/// two thirds of what the products themselves read.
fn sum(data: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature has just been detected.
            return unsafe { sum_avx512(data) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { sum_avx2(data) };
        }
    }
    sums(data)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn sum_avx512(data: &[f32]) -> f32 {
    use std::arch::x86_64::*;
    let mut acc = [_mm512_setzero_ps(); 8];
    let (chunks, _) = data.as_chunks::<128>();
    for chunk in chunks {
        for (acc, x) in acc.iter_mut().zip(chunk.as_chunks::<16>().0) {
            // SAFETY: `x` is sixteen numbers.
            *acc = _mm512_add_ps(*acc, unsafe { _mm512_loadu_ps(x.as_ptr()) });
        }
    }
    acc.into_iter().map(|acc| _mm512_reduce_add_ps(acc)).sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sum_avx2(data: &[f32]) -> f32 {
    sums(data)
}

/// Sixty-four sums at once keep enough loads under way in any vector width.
#[inline(always)]
fn sums(data: &[f32]) -> f32 {
    let mut sums = [0.0f32; 64];
    for chunk in data.chunks_exact(64) {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += x;
        }
    }
    sums.iter().sum()
}

/// Independent chains, more than a processor has multiply-adds under way.
const CHAINS: usize = 12;
const FLOPS_PER_STEP: usize = CHAINS * 16 * 2;

fn multiply_adds(factor: f32, n_steps: usize) -> f32 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature has just been detected.
            return unsafe { multiply_adds_avx512(factor, n_steps) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: as above.
            return unsafe { multiply_adds_avx2(factor, n_steps) };
        }
    }
    chains(factor, n_steps)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn multiply_adds_avx512(factor: f32, n_steps: usize) -> f32 {
    use std::arch::x86_64::*;
    let (factor, term) = (_mm512_set1_ps(factor), _mm512_set1_ps(0.001));
    let mut sums = [_mm512_setzero_ps(); CHAINS];
    for _ in 0..n_steps {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, factor, term);
        }
    }
    sums.into_iter().map(|sum| _mm512_reduce_add_ps(sum)).sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn multiply_adds_avx2(factor: f32, n_steps: usize) -> f32 {
    chains(factor, n_steps)
}

#[inline(always)]
fn chains(factor: f32, n_steps: usize) -> f32 {
    let mut sums = [[0.0f32; 16]; CHAINS];
    for _ in 0..n_steps {
        for sum in sums.as_flattened_mut() {
            *sum = sum.mul_add(factor, 0.001);
        }
    }
    sums.as_flattened().iter().sum()
}
