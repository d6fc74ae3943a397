//! What the machine can do at most, on all threads: bytes read and multiply-adds in a second.

use rayon::prelude::*;
use std::fmt;
use std::hint::black_box;
use std::time::Instant;
use stillroom_kernels::roof::{FLOPS_PER_STEP, multiply_adds, read_all};

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
            black_box(chunks.map(read_all).sum::<f32>());
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
