//! Numbers as registers hold them: in the low bits of 64, whatever their type.

use half::{bf16, f16};

/// A register of a warp: one value a lane.
pub(crate) type Lanes = [u64; 32];

/// A type of PTX.
pub(crate) trait Bits: Copy + 'static {
    fn of(bits: u64) -> Self;
    fn bits(self) -> u64;
}

macro_rules! integers {
    ($($int:ty as $unsigned:ty),*) => {$(
        impl Bits for $int {
            fn of(bits: u64) -> Self {
                bits as $int
            }
            fn bits(self) -> u64 {
                u64::from(self as $unsigned)
            }
        }
    )*};
}
integers!(
    u8 as u8, i8 as u8, u16 as u16, i16 as u16, u32 as u32, i32 as u32, u64 as u64, i64 as u64
);

macro_rules! floats {
    ($($float:ty as $unsigned:ty),*) => {$(
        impl Bits for $float {
            fn of(bits: u64) -> Self {
                Self::from_bits(bits as $unsigned)
            }
            fn bits(self) -> u64 {
                u64::from(self.to_bits())
            }
        }
    )*};
}
floats!(f32 as u32, f64 as u64, f16 as u16, bf16 as u16);

/// What both kinds of half floats and the wide ones can do; half floats round once, from f32.
pub(crate) trait Float: Bits {
    fn wide(self) -> f64;
    fn narrow(value: f64) -> Self;
}

impl Float for f32 {
    fn wide(self) -> f64 {
        f64::from(self)
    }
    fn narrow(value: f64) -> Self {
        value as f32
    }
}

impl Float for f64 {
    fn wide(self) -> f64 {
        self
    }
    fn narrow(value: f64) -> Self {
        value
    }
}

impl Float for f16 {
    fn wide(self) -> f64 {
        f64::from(self)
    }
    fn narrow(value: f64) -> Self {
        Self::from_f32(odd(value))
    }
}

impl Float for bf16 {
    fn wide(self) -> f64 {
        f64::from(self)
    }
    fn narrow(value: f64) -> Self {
        Self::from_f32(odd(value))
    }
}

/// A number as f32, towards zero and then made odd where that was not exact: what is rounded once
/// more from there to half as many digits is rounded as if it had been once.
fn odd(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) == value || near.is_nan() {
        return near;
    }
    let cut = if f64::from(near).abs() > value.abs() { near.to_bits() - 1 } else { near.to_bits() };
    f32::from_bits(cut | 1)
}
