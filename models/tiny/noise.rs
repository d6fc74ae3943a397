//! Random weights as a function of seed, tensor name and index: no state, hence no order.
//!
//! A normal variable is approximated by a sum of uniform integers, which is exact arithmetic and
//! the same on every platform. Its tails end at 3.46 standard deviations; weights need no more.

/// Uniform pieces in one variable.
const PIECES: u32 = 4;

/// The stream of one tensor.
#[derive(Clone, Copy)]
pub(super) struct Noise {
    key: u64,
}

impl Noise {
    /// The stream that belongs to `name` under `seed`.
    pub(super) fn new(seed: u64, name: &str) -> Self {
        let digest =
            blake3::Hasher::new().update(&seed.to_le_bytes()).update(name.as_bytes()).finalize();
        let mut key = [0; 8];
        key.copy_from_slice(&digest.as_bytes()[..8]);
        Self { key: u64::from_le_bytes(key) }
    }

    /// Variable number `i`: mean 0, standard deviation 1.
    pub(super) fn normal(self, i: u64) -> f32 {
        // Sum of four uniforms on 0..=65535, as its distance from twice the mean, halved.
        const DEVIATION: f32 = 37_837.23;
        let bits = mix(self.key.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let mut sum = 0;
        for piece in 0..PIECES {
            sum += (bits >> (16 * piece)) as i32 & 0xffff;
        }
        (sum - 2 * 0xffff) as f32 / DEVIATION
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_deviation() {
        let noise = Noise::new(1, "w");
        let n = 100_000u64;
        let (mut sum, mut squares) = (0.0f64, 0.0f64);
        for i in 0..n {
            let x = f64::from(noise.normal(i));
            sum += x;
            squares += x * x;
        }
        let (mean, variance) = (sum / n as f64, squares / n as f64);
        assert!(mean.abs() < 0.01, "{mean}");
        assert!((variance - 1.0).abs() < 0.01, "{variance}");
        assert_ne!(noise.normal(0), Noise::new(2, "w").normal(0));
        assert_ne!(noise.normal(0), Noise::new(1, "v").normal(0));
    }
}
