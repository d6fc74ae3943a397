//! Functions of one number made functions of a warp's 32.

use super::bits::{Bits, Lanes};

/// Of one register.
pub(crate) type One = Box<dyn Fn(&Lanes) -> Lanes + Send + Sync>;
/// Of two.
pub(crate) type Two = Box<dyn Fn(&Lanes, &Lanes) -> Lanes + Send + Sync>;
/// Of three.
pub(crate) type Three = Box<dyn Fn(&Lanes, &Lanes, &Lanes) -> Lanes + Send + Sync>;
/// Of two into a mask of lanes.
pub(crate) type Compare = Box<dyn Fn(&Lanes, &Lanes) -> u32 + Send + Sync>;

pub(super) fn one<A: Bits, R: Bits>(f: impl Fn(A) -> R + Send + Sync + 'static) -> One {
    Box::new(move |a| std::array::from_fn(|lane| f(A::of(a[lane])).bits()))
}

pub(super) fn two<A: Bits, B: Bits, R: Bits>(f: impl Fn(A, B) -> R + Send + Sync + 'static) -> Two {
    Box::new(move |a, b| std::array::from_fn(|lane| f(A::of(a[lane]), B::of(b[lane])).bits()))
}

pub(super) fn three<A: Bits, B: Bits, C: Bits, R: Bits>(
    f: impl Fn(A, B, C) -> R + Send + Sync + 'static,
) -> Three {
    Box::new(move |a, b, c| {
        std::array::from_fn(|lane| f(A::of(a[lane]), B::of(b[lane]), C::of(c[lane])).bits())
    })
}

pub(super) fn compare<A: Bits>(f: impl Fn(A, A) -> bool + Send + Sync + 'static) -> Compare {
    Box::new(move |a, b| {
        let mut mask = 0;
        for lane in 0..32 {
            mask |= u32::from(f(A::of(a[lane]), A::of(b[lane]))) << lane;
        }
        mask
    })
}

/// Runs `$body` with `$T` as the integer that a type of PTX names; `None` for other types.
macro_rules! with_integer {
    ($name:expr, $T:ident => $body:expr) => {
        match $name {
            "u8" | "b8" => {
                #[allow(dead_code, reason = "not every body names the type")]
                type $T = u8;
                Some($body)
            }
            "s8" => {
                #[allow(dead_code, reason = "not every body names the type")]
                type $T = i8;
                Some($body)
            }
            "u16" | "b16" => {
                #[allow(dead_code, reason = "not every body names the type")]
                type $T = u16;
                Some($body)
            }
            "s16" => {
                #[allow(dead_code, reason = "not every body names the type")]
                type $T = i16;
                Some($body)
            }
            "u32" | "b32" => {
                #[allow(dead_code, reason = "not every body names the type")]
                type $T = u32;
                Some($body)
            }
            "s32" => {
                #[allow(dead_code, reason = "not every body names the type")]
                type $T = i32;
                Some($body)
            }
            "u64" | "b64" => {
                #[allow(dead_code, reason = "not every body names the type")]
                type $T = u64;
                Some($body)
            }
            "s64" => {
                #[allow(dead_code, reason = "not every body names the type")]
                type $T = i64;
                Some($body)
            }
            _ => None,
        }
    };
}
pub(super) use with_integer;

/// [`with_integer!`] for the floats.
macro_rules! with_float {
    ($name:expr, $T:ident => $body:expr) => {
        match $name {
            "f32" => {
                #[allow(dead_code, reason = "not every body names the type")]
                type $T = f32;
                Some($body)
            }
            "f64" => {
                #[allow(dead_code, reason = "not every body names the type")]
                type $T = f64;
                Some($body)
            }
            "f16" => {
                #[allow(dead_code, reason = "not every body names the type")]
                type $T = half::f16;
                Some($body)
            }
            "bf16" => {
                #[allow(dead_code, reason = "not every body names the type")]
                type $T = half::bf16;
                Some($body)
            }
            _ => None,
        }
    };
}
pub(super) use with_float;
