//! Sixteen f32 lanes, so that a kernel is written once for AVX-512, AVX2 and everything else.
//!
//! A [`Kernel`] is generic over its [`Lanes`]; [`Isa::run`] compiles it for each instruction set
//! and enters the best that the machine has. Where the machine has a fused multiply-add, all sets
//! round alike, so the same input gives the same bits on each of them: a lane is a lane, whether
//! sixteen lie in one register or in four. What is left to the kernel is to fix the order of its
//! sums across lanes.

mod cpu;

/// Number of lanes.
pub(crate) const LANES: usize = 16;

/// Sixteen numbers that are computed with side by side.
pub(crate) trait Lanes: Copy {
    /// Rows that a kernel may hold in registers at once when each takes two or four lanes.
    const ROWS: usize;

    fn splat(x: f32) -> Self;
    fn load(from: &[f32; LANES]) -> Self;
    fn store(self, to: &mut [f32; LANES]);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// `self * factor + term`, rounded once where the machine can.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    fn max(self, other: Self) -> Self;
    /// The largest lane; which one when a lane is NaN is left open.
    fn largest(self) -> f32;
    /// `2^n` for lanes that hold [`ROUNDER`]` + n`, `n` in `-126..=127`.
    fn power_of_two(self) -> Self;
    /// `self`, but 0 in lanes where `x < limit`.
    fn zero_below(self, x: Self, limit: f32) -> Self;
    /// `columns[c][r] = rows[r * stride + c]` for 16 rows `r` of 16 numbers.
    fn transpose(rows: &[f32], stride: usize, columns: &mut [[f32; LANES]; LANES]);

    /// Asks for the cache line at the start of `data`, where the machine lets one ask.
    fn prefetch(data: &[f32]);

    /// One lane of [`Lanes::mul_add`].
    #[inline(always)]
    fn mul_add_one(x: f32, factor: f32, term: f32) -> f32 {
        x.mul_add(factor, term)
    }

    /// All lanes, in order.
    #[inline(always)]
    fn to_array(self) -> [f32; LANES] {
        let mut array = [0.0; LANES];
        self.store(&mut array);
        array
    }

    /// `e^self`, within 2 units of the last place, for lanes up to 88; below -87.3 it is 0.
    ///
    /// The usual reduction to `2^n * e^r` with `|r| <= ln(2) / 2`, and the polynomial of Cephes'
    /// `expf`. NaN stays NaN.
    #[inline(always)]
    fn exp(self) -> Self {
        const COEFFICIENTS: [f32; 5] =
            [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
        // ln(2) in two parts, the first exact in products with small integers.
        const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
        let shifted = self.mul_add(Self::splat(std::f32::consts::LOG2_E), Self::splat(ROUNDER));
        let n = shifted.sub(Self::splat(ROUNDER));
        let r = n.mul_add(Self::splat(-LN_2[0]), self);
        let r = n.mul_add(Self::splat(-LN_2[1]), r);
        let mut series = Self::splat(1.987_569_1e-4);
        for coefficient in COEFFICIENTS {
            series = series.mul_add(r, Self::splat(coefficient));
        }
        let value = series.mul_add(r.mul(r), r).add(Self::splat(1.0));
        value.mul(shifted.power_of_two()).zero_below(self, -87.3)
    }
}

/// `1.5 * 2^23`: adding it to a small number leaves the nearest integer in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// Work that is compiled once for each instruction set. `run`, and what it calls with lanes, must
/// be `#[inline(always)]`: only inlined code is compiled for the set.
pub(crate) trait Kernel {
    type Output;

    fn run<L: Lanes>(self) -> Self::Output;
}

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Isa(cpu::Set);

impl Isa {
    /// The widest set.
    pub(crate) fn best() -> Self {
        Self(cpu::Set::best())
    }

    /// Every set, the widest first.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        cpu::Set::all().into_iter().map(Self).collect()
    }

    /// Whether results have the bits of every other set that fuses.
    #[cfg(test)]
    pub(crate) fn fuses(self) -> bool {
        self.0.fuses()
    }

    /// Runs `kernel` with this set's lanes.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        self.0.run(kernel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Exp<'a>(&'a [f32]);

    impl Kernel for Exp<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<L: Lanes>(self) -> Vec<f32> {
            let (chunks, _) = self.0.as_chunks::<LANES>();
            chunks.iter().flat_map(|chunk| L::load(chunk).exp().to_array()).collect()
        }
    }

    #[test]
    fn exp_is_near_and_keeps_its_edges() {
        let mut x: Vec<f32> = (0..16_000).map(|i| i as f32 * -0.006 + 8.0).collect();
        x[0..4].copy_from_slice(&[0.0, f32::NEG_INFINITY, f32::NAN, -87.4]);
        for isa in Isa::all() {
            let found = isa.run(Exp(&x));
            assert_eq!([found[0], found[1], found[3]], [1.0, 0.0, 0.0]);
            assert!(found[2].is_nan());
            for (found, x) in found.iter().zip(&x).skip(4) {
                let wanted = f64::from(*x).exp() * f64::from(u8::from(*x >= -87.3));
                let gap = (f64::from(*found) - wanted).abs();
                assert!(gap <= wanted * 2.5e-7, "{isa:?}: e^{x} is {wanted}, not {found}");
            }
        }
    }

    struct Each<'a>(&'a [f32]);

    impl Kernel for Each<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<L: Lanes>(self) -> Vec<f32> {
            let mut turned = [[0.0; LANES]; LANES];
            L::transpose(self.0, 17, &mut turned);
            let [a, b, c] = [turned[0], turned[1], turned[2]].map(|lanes| L::load(&lanes));
            let mut out = turned.concat();
            for lanes in [a.add(b), a.sub(b), a.mul(b), a.mul_add(b, c), a.max(b), a.exp()] {
                out.extend(lanes.to_array());
            }
            out.push(c.largest());
            out.push(L::mul_add_one(0.1, 0.2, 0.3));
            out
        }
    }

    #[test]
    fn fusing_sets_agree_to_the_bit() {
        let numbers: Vec<f32> = (0..16 * 17).map(|i| (i as f32 * 0.37).sin() * 3.0).collect();
        let fusing: Vec<Isa> = Isa::all().into_iter().filter(|isa| isa.fuses()).collect();
        for pair in fusing.windows(2) {
            assert_eq!(pair[0].run(Each(&numbers)), pair[1].run(Each(&numbers)), "{pair:?}");
        }
        for isa in Isa::all() {
            let found = isa.run(Each(&numbers));
            assert_eq!(found[3 * LANES + 5], numbers[5 * 17 + 3], "{isa:?} transposes");
        }
    }
}
