//! The two things that bound every op on a CPU, to be timed by whoever has a clock: reading memory
//! and multiplying in f32.
//!
//! A bench that names the share of a floor stands or falls with the floor, so both use the widest
//! vectors that the processor has. Must not know an op.

/// Reads `data` as fast as one thread can, and sums it so that nobody leaves the reading out: the
/// widest loads, since narrow ones find no more than two thirds of what the products read.
pub fn read_all(data: &[f32]) -> f32 {
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

/// Operations of one step of [`multiply_adds`].
pub const FLOPS_PER_STEP: usize = CHAINS * 16 * 2;

/// Multiplies and adds in registers for `n_steps`, as fast as one thread can. `factor` must be
/// hidden from the compiler, and the sum be used.
pub fn multiply_adds(factor: f32, n_steps: usize) -> f32 {
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
