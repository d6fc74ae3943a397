//! Seeded numbers for tests.

use stillroom_kernels::sample::philox::{Philox, Purpose};

/// Seeded numbers.
pub(crate) struct Noise {
    stream: Philox,
    drawn: u64,
}

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self { stream: Philox::new(seed), drawn: 0 }
    }

    pub(crate) fn unit(&mut self) -> f64 {
        self.drawn += 1;
        self.stream.uniform(self.drawn, Purpose::Weights)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.unit() * limit as f64) as usize
    }

    /// Numbers in -1..1, of which about one in a hundred is an outlier up to 20.
    pub(crate) fn spiky(&mut self, len: usize) -> Vec<f32> {
        let mut number = || {
            let outlier = if self.unit() < 0.01 { 20.0 } else { 1.0 };
            (outlier * (2.0 * self.unit() - 1.0)) as f32
        };
        (0..len).map(|_| number()).collect()
    }

    /// The numbers below `len` in a random order.
    pub(crate) fn shuffled(&mut self, len: usize) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..len as u32).collect();
        for last in (1..len).rev() {
            numbers.swap(last, self.below(last + 1));
        }
        numbers
    }
}
