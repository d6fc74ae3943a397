//! `cvt`: numbers of one type as another, with every way of rounding.

use half::{bf16, f16};

use super::bits::{Bits, Float};
use super::lanes::{One, Two, one, two, with_float, with_integer};

/// Which way a number goes that lies between two that can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    Nearest,
    Zero,
    Down,
    Up,
}

impl Rounding {
    /// From `.rn`, or `.rni` for a result without a fraction.
    pub(super) fn of(words: &[&str]) -> Option<Self> {
        words.iter().find_map(|word| match *word {
            "rn" | "rni" => Some(Self::Nearest),
            "rz" | "rzi" => Some(Self::Zero),
            "rm" | "rmi" => Some(Self::Down),
            "rp" | "rpi" => Some(Self::Up),
            _ => None,
        })
    }

    /// A number without a fraction.
    pub(super) fn whole(self, value: f64) -> f64 {
        match self {
            Self::Nearest => value.round_ties_even(),
            Self::Zero => value.trunc(),
            Self::Down => value.floor(),
            Self::Up => value.ceil(),
        }
    }

    /// An f32 next to a number.
    pub(super) fn narrow(self, value: f64) -> f32 {
        let near = value as f32;
        let (above, below) = (f64::from(near) > value, f64::from(near) < value);
        match self {
            Self::Nearest => near,
            Self::Down if above => near.next_down(),
            Self::Up if below => near.next_up(),
            Self::Zero if above && value > 0.0 => near.next_down(),
            Self::Zero if below && value < 0.0 => near.next_up(),
            Self::Zero | Self::Down | Self::Up => near,
        }
    }
}

/// A conversion as its words say it: `rn`, `f32`, `s32`.
pub(super) fn convert(words: &[&str]) -> Option<One> {
    let [flags @ .., to, from] = words else { return None };
    let (to, from) = (*to, *from);
    let rounding = Rounding::of(flags);
    let whole = flags.iter().any(|flag| ["rni", "rzi", "rmi", "rpi"].contains(flag));
    let saturated = flags.contains(&"sat");
    let is_float = |kind: &str| kind.starts_with('f') || kind.starts_with("bf");
    let rounding_or = rounding.unwrap_or(Rounding::Nearest);
    match (is_float(from), is_float(to)) {
        (false, false) => with_integer!(from, A => with_integer!(to, R => {
            // Widened by the sign of what it was, cut to what it becomes.
            one(move |a: A| {
                let wide = i128::from(a);
                if saturated { wide.clamp(i128::from(R::MIN), i128::from(R::MAX)) as R } else { wide as R }
            })
        }))?,
        (true, false) => with_float!(from, A => with_integer!(to, R => {
            one(move |a: A| rounding_or.whole(a.wide()) as R)
        }))?,
        (false, true) => with_integer!(from, A => match to {
            // Numbers above 2^53 are rounded to an f64 first only where that is the result.
            "f32" if rounding_or == Rounding::Nearest => Some(one(|a: A| a as f32)),
            _ => with_float!(to, R => one(move |a: A| from_wide::<R>(a as f64, rounding_or))),
        })?,
        (true, true) => with_float!(from, A => with_float!(to, R => {
            one(move |a: A| {
                let value = a.wide();
                let value = if whole { rounding_or.whole(value) } else { value };
                // What is not a number becomes 0 as well.
                let value = if saturated { if value > 0.0 { value.min(1.0) } else { 0.0 } } else { value };
                from_wide::<R>(value, rounding_or)
            })
        }))?,
    }
}

fn from_wide<R: Float>(value: f64, rounding: Rounding) -> R {
    match rounding {
        Rounding::Nearest => R::narrow(value),
        // Only for f32 does nvcc ask for another.
        Rounding::Zero | Rounding::Down | Rounding::Up => {
            R::narrow(f64::from(rounding.narrow(value)))
        }
    }
}

/// `cvt.rn.bf16x2.f32 d, a, b`: `a` in the upper half.
pub(super) fn pack(kind: &str) -> Option<Two> {
    let join = |high: u64, low: u64| (high << 16 | low) as u32;
    match kind {
        "bf16x2" => Some(two(move |a: f32, b: f32| {
            join(bf16::from_f32(a).bits(), bf16::from_f32(b).bits())
        })),
        "f16x2" => {
            Some(two(move |a: f32, b: f32| join(f16::from_f32(a).bits(), f16::from_f32(b).bits())))
        }
        _ => None,
    }
}
