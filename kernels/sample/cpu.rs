//! The passes over a whole vocabulary, vectorised: 128 thousand logits are half a megabyte, and
//! each is read, and raised to a power, once.
//!
//! Sums are f64. They are taken by index modulo 16 within chunks of 1024 and the chunks in order,
//! so that they do not depend on the instruction set.

use crate::lanes::{Isa, Kernel, LANES, Lanes};

/// Elements of a chunk.
pub(super) const CHUNK: usize = 1024;

/// What one pass over logits finds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Summary {
    /// Index of the largest logit, of equals the first.
    pub(super) argmax: usize,
    /// Logarithm of the sum of the exponents; not a number when a logit is NaN or plus infinity,
    /// or all are minus infinity. `argmax` is then left open.
    pub(super) log_sum: f64,
}

/// Finds the largest of `logits` and the logarithm of the sum of their exponents.
pub(super) fn summary(logits: &[f32]) -> Summary {
    let (at, top, sum) = Isa::best().run(Summarise(logits));
    Summary { argmax: at + first_at(&logits[at..], top), log_sum: f64::from(top) + sum.ln() }
}

/// Index and value of the largest of `logits`, of equals the first; NaN must not be among them.
pub(super) fn argmax(logits: &[f32]) -> (usize, f32) {
    let top = Isa::best().run(Largest(logits));
    (first_at(logits, top), top)
}

/// Replaces each logit by `exp((logit - top) * rate)`.
pub(super) fn weigh(logits: &mut [f32], top: f32, rate: f32) {
    Isa::best().run(Weigh { logits, top, rate });
}

/// Sums of `weights` by chunk.
pub(super) fn chunk_sums(weights: &[f32], sums: &mut Vec<f64>) {
    sums.clear();
    Isa::best().run(ChunkSums(weights, sums));
}

fn first_at(logits: &[f32], top: f32) -> usize {
    logits.iter().position(|logit| *logit == top).unwrap_or(0)
}

/// `x` in sixteens, the last filled up with `fill`.
#[inline(always)]
fn each_sixteen(x: &[f32], fill: f32, mut f: impl FnMut(&[f32; LANES])) {
    let (sixteens, rest) = x.as_chunks::<LANES>();
    sixteens.iter().for_each(&mut f);
    if !rest.is_empty() {
        let mut last = [fill; LANES];
        last[..rest.len()].copy_from_slice(rest);
        f(&last);
    }
}

#[inline(always)]
fn largest<L: Lanes>(x: &[f32]) -> f32 {
    let mut top = L::splat(f32::NEG_INFINITY);
    each_sixteen(x, f32::NEG_INFINITY, |x| top = top.max(L::load(x)));
    top.largest()
}

#[inline(always)]
fn sum_into<L: Lanes>(lanes: L, sums: &mut [f64; LANES]) {
    for (sum, x) in sums.iter_mut().zip(lanes.to_array()) {
        *sum += f64::from(x);
    }
}

struct Largest<'a>(&'a [f32]);

impl Kernel for Largest<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<L: Lanes>(self) -> f32 {
        largest::<L>(self.0)
    }
}

struct Summarise<'a>(&'a [f32]);

impl Kernel for Summarise<'_> {
    /// Start of the chunk that holds the largest logit first, that logit, and the sum of the
    /// exponents relative to it.
    type Output = (usize, f32, f64);

    #[inline(always)]
    fn run<L: Lanes>(self) -> Self::Output {
        let (mut at, mut top, mut sum) = (0, f32::NEG_INFINITY, 0.0);
        for (chunk_idx, chunk) in self.0.chunks(CHUNK).enumerate() {
            let chunk_top = largest::<L>(chunk);
            if chunk_top > top {
                sum *= (f64::from(top) - f64::from(chunk_top)).exp();
                (at, top) = (chunk_idx * CHUNK, chunk_top);
            }
            let mut sums = [0.0; LANES];
            each_sixteen(chunk, f32::NEG_INFINITY, |x| {
                sum_into(L::load(x).sub(L::splat(top)).exp(), &mut sums);
            });
            sum += sums.iter().sum::<f64>();
        }
        (at, top, sum)
    }
}

struct Weigh<'a> {
    logits: &'a mut [f32],
    top: f32,
    rate: f32,
}

impl Kernel for Weigh<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let (top, rate) = (L::splat(self.top), L::splat(self.rate));
        let (sixteens, rest) = self.logits.as_chunks_mut::<LANES>();
        for x in sixteens {
            L::load(x).sub(top).mul(rate).exp().store(x);
        }
        let mut last = [0.0; LANES];
        last[..rest.len()].copy_from_slice(rest);
        let last = L::load(&last).sub(top).mul(rate).exp().to_array();
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

struct ChunkSums<'a>(&'a [f32], &'a mut Vec<f64>);

impl Kernel for ChunkSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        for chunk in self.0.chunks(CHUNK) {
            let mut sums = [0.0; LANES];
            each_sixteen(chunk, 0.0, |x| sum_into(L::load(x), &mut sums));
            self.1.push(sums.iter().sum());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_any_length() {
        for len in [1usize, 5, 16, 17, 1024, 1025, 5000] {
            let logits: Vec<f32> = (0..len).map(|i| ((i * 37 % 101) as f32) * 0.1).collect();
            let found = summary(&logits);
            let top = logits.iter().copied().fold(f32::MIN, f32::max);
            let wanted: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
            assert!((found.log_sum - wanted).abs() < 1e-6, "{} {wanted}", found.log_sum);
            assert_eq!(found.argmax, first_at(&logits, top));
            assert_eq!(argmax(&logits), (found.argmax, top));
            let mut sums = Vec::new();
            chunk_sums(&logits, &mut sums);
            assert_eq!(sums.len(), len.div_ceil(CHUNK));
            let mut weights = logits.clone();
            weigh(&mut weights, top, 0.5);
            assert_eq!(weights[found.argmax], 1.0);
            for (weight, logit) in weights.iter().zip(&logits) {
                assert!((weight - ((logit - top) * 0.5).exp()).abs() < 1e-6);
            }
        }
    }
}
