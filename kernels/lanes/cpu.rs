//! The instruction sets: AVX-512, AVX2 with FMA, and an array that the compiler vectorises.
//!
//! The register types are private to this file and are named only by [`Set::run`], behind the
//! check that the machine has them: that is what makes their methods sound.

use super::{Kernel, LANES, Lanes};

/// An instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Plain,
}

/// Whether plain Rust code is compiled with a fused multiply-add here.
const PLAIN_FUSES: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

impl Set {
    pub(super) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Plain
    }

    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        let known = [
            #[cfg(target_arch = "x86_64")]
            Self::Avx512,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2,
            Self::Plain,
        ];
        let best = known.iter().position(|set| *set == Self::best()).unwrap();
        known[best..].to_vec()
    }

    #[cfg(test)]
    pub(super) fn fuses(self) -> bool {
        self != Self::Plain || PLAIN_FUSES
    }

    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            // SAFETY: `best` and `all` name a set only where the machine has it.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { x86::run_avx512(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { x86::run_avx2(kernel) },
            Self::Plain => kernel.run::<Plain>(),
        }
    }
}

/// Lanes as an array: plain arithmetic that the compiler turns into what the target has.
#[derive(Clone, Copy)]
struct Plain([f32; LANES]);

impl Plain {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }
}

impl Lanes for Plain {
    const ROWS: usize = 2;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; LANES])
    }

    #[inline(always)]
    fn load(from: &[f32; LANES]) -> Self {
        Self(*from)
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        *to = self.0;
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        let one = |lane| Self::mul_add_one(self.0[lane], factor.0[lane], term.0[lane]);
        Self(std::array::from_fn(one))
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn largest(self) -> f32 {
        self.0.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        Self(self.0.map(|x| f32::from_bits((x.to_bits() << 23).wrapping_add(127 << 23))))
    }

    #[inline(always)]
    fn zero_below(self, x: Self, limit: f32) -> Self {
        self.zip(x, |value, x| if x < limit { 0.0 } else { value })
    }

    #[inline(always)]
    fn transpose(rows: &[f32], stride: usize, columns: &mut [[f32; LANES]; LANES]) {
        for (c, column) in columns.iter_mut().enumerate() {
            for (r, x) in column.iter_mut().enumerate() {
                *x = rows[r * stride + c];
            }
        }
    }

    #[inline(always)]
    fn prefetch(_: &[f32]) {}

    /// Without the instruction, a fused multiply-add would be a library call for each product.
    #[inline(always)]
    fn mul_add_one(x: f32, factor: f32, term: f32) -> f32 {
        if PLAIN_FUSES { x.mul_add(factor, term) } else { x * factor + term }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Kernel, LANES, Lanes};

    #[target_feature(enable = "avx512f")]
    pub(super) fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<Zmm>()
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<Ymm2>()
    }

    /// One AVX-512 register.
    #[derive(Clone, Copy)]
    struct Zmm(__m512);

    /// Two AVX registers.
    #[derive(Clone, Copy)]
    struct Ymm2([__m256; 2]);

    /// Calls instructions of the set that the lanes belong to.
    macro_rules! has_set {
        ($body:expr) => {
            // SAFETY: values of this type exist only inside `run_avx512` or `run_avx2`, which are
            // entered where the machine has the set. Memory is reached through references only.
            unsafe { $body }
        };
    }

    impl Lanes for Zmm {
        const ROWS: usize = 8;

        #[inline(always)]
        fn splat(x: f32) -> Self {
            has_set!(Self(_mm512_set1_ps(x)))
        }

        #[inline(always)]
        fn load(from: &[f32; LANES]) -> Self {
            has_set!(Self(_mm512_loadu_ps(from.as_ptr())))
        }

        #[inline(always)]
        fn store(self, to: &mut [f32; LANES]) {
            has_set!(_mm512_storeu_ps(to.as_mut_ptr(), self.0))
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            has_set!(Self(_mm512_add_ps(self.0, other.0)))
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            has_set!(Self(_mm512_sub_ps(self.0, other.0)))
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            has_set!(Self(_mm512_mul_ps(self.0, other.0)))
        }

        #[inline(always)]
        fn mul_add(self, factor: Self, term: Self) -> Self {
            has_set!(Self(_mm512_fmadd_ps(self.0, factor.0, term.0)))
        }

        #[inline(always)]
        fn max(self, other: Self) -> Self {
            has_set!(Self(_mm512_max_ps(self.0, other.0)))
        }

        #[inline(always)]
        fn largest(self) -> f32 {
            has_set!(_mm512_reduce_max_ps(self.0))
        }

        #[inline(always)]
        fn power_of_two(self) -> Self {
            has_set!({
                let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(self.0));
                let one = _mm512_set1_epi32(127 << 23);
                Self(_mm512_castsi512_ps(_mm512_add_epi32(exponent, one)))
            })
        }

        #[inline(always)]
        fn zero_below(self, x: Self, limit: f32) -> Self {
            has_set!({
                let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x.0, _mm512_set1_ps(limit));
                Self(_mm512_mask_mov_ps(self.0, below, _mm512_setzero_ps()))
            })
        }

        #[inline(always)]
        fn prefetch(data: &[f32]) {
            has_set!(_mm_prefetch::<_MM_HINT_T0>(data.as_ptr().cast()))
        }

        #[inline(always)]
        fn transpose(rows: &[f32], stride: usize, columns: &mut [[f32; LANES]; LANES]) {
            assert!(rows.len() >= 15 * stride + LANES);
            let start = rows.as_ptr();
            // SAFETY: 16 numbers from `15 * stride` on lie in `rows`, hence those before do.
            let row = |r: usize| unsafe { _mm512_loadu_ps(start.add(r * stride)) };
            let rows: [__m512; LANES] = std::array::from_fn(row);
            has_set!({
                // Quads of rows: `quads[4 * q + i]` holds rows 4q..4q+4 of columns i, 4+i, 8+i, 12+i.
                let mut quads = rows;
                for q in 0..4 {
                    let [a, b, c, d] = [0, 1, 2, 3].map(|i| rows[4 * q + i]);
                    let pair = |low, x, y| match low {
                        true => _mm512_castps_pd(_mm512_unpacklo_ps(x, y)),
                        false => _mm512_castps_pd(_mm512_unpackhi_ps(x, y)),
                    };
                    let (ab, cd) = (pair(true, a, b), pair(true, c, d));
                    quads[4 * q] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd));
                    quads[4 * q + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd));
                    let (ab, cd) = (pair(false, a, b), pair(false, c, d));
                    quads[4 * q + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd));
                    quads[4 * q + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd));
                }
                let mut turned = rows;
                for i in 0..4 {
                    let [a, b, c, d] = [0, 4, 8, 12].map(|q| quads[q + i]);
                    let even = _mm512_shuffle_f32x4::<0x88>(a, b);
                    let odd = _mm512_shuffle_f32x4::<0xdd>(a, b);
                    let even_below = _mm512_shuffle_f32x4::<0x88>(c, d);
                    let odd_below = _mm512_shuffle_f32x4::<0xdd>(c, d);
                    turned[i] = _mm512_shuffle_f32x4::<0x88>(even, even_below);
                    turned[4 + i] = _mm512_shuffle_f32x4::<0x88>(odd, odd_below);
                    turned[8 + i] = _mm512_shuffle_f32x4::<0xdd>(even, even_below);
                    turned[12 + i] = _mm512_shuffle_f32x4::<0xdd>(odd, odd_below);
                }
                for (column, turned) in columns.iter_mut().zip(turned) {
                    Self(turned).store(column);
                }
            })
        }
    }

    impl Ymm2 {
        #[inline(always)]
        fn zip(self, other: Self, f: impl Fn(__m256, __m256) -> __m256) -> Self {
            Self([f(self.0[0], other.0[0]), f(self.0[1], other.0[1])])
        }
    }

    impl Lanes for Ymm2 {
        const ROWS: usize = 2;

        #[inline(always)]
        fn splat(x: f32) -> Self {
            has_set!(Self([_mm256_set1_ps(x); 2]))
        }

        #[inline(always)]
        fn load(from: &[f32; LANES]) -> Self {
            has_set!(Self([
                _mm256_loadu_ps(from[..8].as_ptr()),
                _mm256_loadu_ps(from[8..].as_ptr())
            ]))
        }

        #[inline(always)]
        fn store(self, to: &mut [f32; LANES]) {
            has_set!({
                _mm256_storeu_ps(to[..8].as_mut_ptr(), self.0[0]);
                _mm256_storeu_ps(to[8..].as_mut_ptr(), self.0[1]);
            })
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            has_set!(self.zip(other, |a, b| _mm256_add_ps(a, b)))
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            has_set!(self.zip(other, |a, b| _mm256_sub_ps(a, b)))
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            has_set!(self.zip(other, |a, b| _mm256_mul_ps(a, b)))
        }

        #[inline(always)]
        fn mul_add(self, factor: Self, term: Self) -> Self {
            has_set!(Self([
                _mm256_fmadd_ps(self.0[0], factor.0[0], term.0[0]),
                _mm256_fmadd_ps(self.0[1], factor.0[1], term.0[1]),
            ]))
        }

        #[inline(always)]
        fn max(self, other: Self) -> Self {
            has_set!(self.zip(other, |a, b| _mm256_max_ps(a, b)))
        }

        #[inline(always)]
        fn largest(self) -> f32 {
            self.to_array().into_iter().fold(f32::NEG_INFINITY, f32::max)
        }

        #[inline(always)]
        fn power_of_two(self) -> Self {
            has_set!(Self(self.0.map(|x| {
                let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(x));
                let one = _mm256_set1_epi32(127 << 23);
                _mm256_castsi256_ps(_mm256_add_epi32(exponent, one))
            })))
        }

        #[inline(always)]
        fn zero_below(self, x: Self, limit: f32) -> Self {
            has_set!(self.zip(x, |value, x| {
                let below = _mm256_cmp_ps::<_CMP_LT_OQ>(x, _mm256_set1_ps(limit));
                _mm256_andnot_ps(below, value)
            }))
        }

        #[inline(always)]
        fn prefetch(data: &[f32]) {
            has_set!(_mm_prefetch::<_MM_HINT_T0>(data.as_ptr().cast()))
        }

        #[inline(always)]
        fn transpose(rows: &[f32], stride: usize, columns: &mut [[f32; LANES]; LANES]) {
            for (top, left) in [(0, 0), (0, 8), (8, 0), (8, 8)] {
                let eight = |r: usize| &rows[(top + r) * stride + left..][..8];
                let rows: [&[f32]; 8] = std::array::from_fn(eight);
                let turned = transpose_eight(rows);
                for (column, turned) in columns[left..left + 8].iter_mut().zip(turned) {
                    let half = &mut column[top..top + 8];
                    has_set!(_mm256_storeu_ps(half.as_mut_ptr(), turned));
                }
            }
        }
    }

    /// Turns eight rows of eight.
    #[inline(always)]
    fn transpose_eight(rows: [&[f32]; 8]) -> [__m256; 8] {
        has_set!({
            let rows = rows.map(|row| _mm256_loadu_ps(row[..8].as_ptr()));
            let mut quads = rows;
            for q in 0..2 {
                let [a, b, c, d] = [0, 1, 2, 3].map(|i| rows[4 * q + i]);
                let pair = |low, x, y| match low {
                    true => _mm256_castps_pd(_mm256_unpacklo_ps(x, y)),
                    false => _mm256_castps_pd(_mm256_unpackhi_ps(x, y)),
                };
                let (ab, cd) = (pair(true, a, b), pair(true, c, d));
                quads[4 * q] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd));
                quads[4 * q + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd));
                let (ab, cd) = (pair(false, a, b), pair(false, c, d));
                quads[4 * q + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd));
                quads[4 * q + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd));
            }
            let mut turned = rows;
            for i in 0..4 {
                turned[i] = _mm256_permute2f128_ps::<0x20>(quads[i], quads[4 + i]);
                turned[4 + i] = _mm256_permute2f128_ps::<0x31>(quads[i], quads[4 + i]);
            }
            turned
        })
    }
}
