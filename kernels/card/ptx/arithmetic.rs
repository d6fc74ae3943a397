//! Instructions that compute: for each name and type, the function of a lane.

use std::cmp::Ordering;

use super::bits::{Bits, Float};
use super::convert::Rounding;
use super::lanes::{Compare, One, Three, Two, compare, one, three, two, with_float, with_integer};
use super::op::Join;

pub(super) fn comparison(name: &str, kind: &str) -> Option<Compare> {
    if let Some(run) = with_integer!(kind, T => match name {
        "eq" => Some(compare(|a: T, b: T| a == b)),
        "ne" => Some(compare(|a: T, b: T| a != b)),
        "lt" | "lo" => Some(compare(|a: T, b: T| a < b)),
        "le" | "ls" => Some(compare(|a: T, b: T| a <= b)),
        "gt" | "hi" => Some(compare(|a: T, b: T| a > b)),
        "ge" | "hs" => Some(compare(|a: T, b: T| a >= b)),
        _ => None,
    }) {
        return run;
    }
    let [less, equal, greater, neither] = answers(name)?;
    with_float!(kind, T => compare(move |a: T, b: T| match a.partial_cmp(&b) {
        Some(Ordering::Less) => less,
        Some(Ordering::Equal) => equal,
        Some(Ordering::Greater) => greater,
        None => neither,
    }))
}

/// What a comparison of floats says of less, equal, greater, and of what is not a number.
fn answers(name: &str) -> Option<[bool; 4]> {
    let known = [
        ("eq", "=", ""),
        ("ne", "<>", ""),
        ("lt", "<", ""),
        ("le", "<=", ""),
        ("gt", ">", ""),
        ("ge", "=>", ""),
        ("equ", "=", "?"),
        ("neu", "<>", "?"),
        ("ltu", "<", "?"),
        ("leu", "<=", "?"),
        ("gtu", ">", "?"),
        ("geu", "=>", "?"),
        ("num", "<=>", ""),
        ("nan", "", "?"),
    ];
    let (_, ordered, unordered) = known.into_iter().find(|(known, ..)| *known == name)?;
    let has = |sign| ordered.contains(sign);
    Some([has('<'), has('='), has('>'), !unordered.is_empty()])
}

pub(super) fn of_one(name: &str, words: &[&str], kind: &str) -> Option<One> {
    let integer = with_integer!(kind, T => match name {
        "neg" => Some(one(|a: T| a.wrapping_neg())),
        "not" => Some(one(|a: T| !a)),
        "abs" if kind.starts_with('s') => Some(one(|a: T| if i128::from(a) < 0 { a.wrapping_neg() } else { a })),
        "popc" => Some(one(|a: T| a.count_ones())),
        "clz" => Some(one(|a: T| a.leading_zeros())),
        "brev" => Some(one(|a: T| a.reverse_bits())),
        _ => None,
    });
    if let Some(run) = integer {
        return run;
    }
    let clear_low = words.contains(&"ftz") && words.contains(&"rcp") && kind == "f64";
    with_float!(kind, T => {
        let of = |f: fn(f64) -> f64| Some(one(move |a: T| T::narrow(f(a.wide()))));
        match name {
            "neg" => of(|a| -a),
            "abs" => of(f64::abs),
            "ex2" => of(f64::exp2),
            "lg2" => of(f64::log2),
            // The quick double one knows only the upper half of the result.
            "rcp" if clear_low => Some(one(|a: f64| f64::from_bits((1.0 / a).to_bits() >> 32 << 32))),
            "rcp" => of(|a| 1.0 / a),
            "rsqrt" => of(|a| 1.0 / a.sqrt()),
            "sqrt" => of(f64::sqrt),
            "sin" => of(f64::sin),
            "cos" => of(f64::cos),
            "tanh" => of(f64::tanh),
            _ => None,
        }
    })?
}

pub(super) fn of_two(
    name: &str,
    words: &[&str],
    kind: &str,
    rounding: Option<Rounding>,
) -> Option<Two> {
    integers(name, words, kind)
        .or_else(|| floats(name, kind, rounding))
        .or_else(|| halves(kind, name))
}

fn integers(name: &str, words: &[&str], kind: &str) -> Option<Two> {
    let plain = !words.contains(&"cc") && !name.ends_with('c');
    with_integer!(kind, T => match name {
        "add" if plain => Some(two(|a: T, b: T| a.wrapping_add(b))),
        "sub" if plain => Some(two(|a: T, b: T| a.wrapping_sub(b))),
        "mul" if words.contains(&"lo") => Some(two(|a: T, b: T| a.wrapping_mul(b))),
        "mul" if words.contains(&"hi") => Some(two(|a: T, b: T| high(i128::from(a), i128::from(b), T::BITS) as T)),
        "mul" if words.contains(&"wide") => Some(two(|a: T, b: T| (i128::from(a) * i128::from(b)) as u64)),
        // What a division by nothing gives is not said; the card gives ones.
        "div" => Some(two(|a: T, b: T| if b == 0 { !0 } else { a.wrapping_div(b) })),
        "rem" => Some(two(|a: T, b: T| if b == 0 { !0 } else { a.wrapping_rem(b) })),
        "min" => Some(two(|a: T, b: T| a.min(b))),
        "max" => Some(two(|a: T, b: T| a.max(b))),
        "and" => Some(two(|a: T, b: T| a & b)),
        "or" => Some(two(|a: T, b: T| a | b)),
        "xor" => Some(two(|a: T, b: T| a ^ b)),
        "shl" => Some(two(|a: T, n: u32| a.checked_shl(n).unwrap_or(0))),
        "shr" => Some(two(|a: T, n: u32| a.checked_shr(n).unwrap_or(if i128::from(a) < 0 { !0 } else { 0 }))),
        _ => None,
    })?
}

fn floats(name: &str, kind: &str, rounding: Option<Rounding>) -> Option<Two> {
    if let Some(rounding) = rounding.filter(|&way| way != Rounding::Nearest) {
        if kind != "f32" {
            return None;
        }
        return match name {
            "add" => Some(two(move |a: f32, b: f32| rounding.narrow(a.wide() + b.wide()))),
            "sub" => Some(two(move |a: f32, b: f32| rounding.narrow(a.wide() - b.wide()))),
            "mul" => Some(two(move |a: f32, b: f32| rounding.narrow(a.wide() * b.wide()))),
            _ => None,
        };
    }
    with_float!(kind, T => {
        let of = |f: fn(f64, f64) -> f64| Some(two(move |a: T, b: T| T::narrow(f(a.wide(), b.wide()))));
        match name {
            "add" => of(|a, b| a + b),
            "sub" => of(|a, b| a - b),
            "mul" => of(|a, b| a * b),
            "div" => of(|a, b| a / b),
            "min" => of(f64::min),
            "max" => of(f64::max),
            // The sign of the first on the second.
            "copysign" => of(|a, b| b.copysign(a)),
            _ => None,
        }
    })?
}

pub(super) fn of_three(
    name: &str,
    words: &[&str],
    kind: &str,
    rounding: Option<Rounding>,
) -> Option<Three> {
    let run = integers_of_three(name, words, kind);
    run.or_else(|| if ["fma", "mad"].contains(&name) { fused(kind, rounding) } else { None })
}

fn integers_of_three(name: &str, words: &[&str], kind: &str) -> Option<Three> {
    let plain = !words.contains(&"cc");
    with_integer!(kind, T => match name {
        "mad" if plain && words.contains(&"lo") => Some(three(|a: T, b: T, c: T| a.wrapping_mul(b).wrapping_add(c))),
        "mad" if plain && words.contains(&"hi") => {
            Some(three(|a: T, b: T, c: T| (high(i128::from(a), i128::from(b), T::BITS) as T).wrapping_add(c)))
        }
        "mad" if plain && words.contains(&"wide") => {
            Some(three(|a: T, b: T, c: u64| ((i128::from(a) * i128::from(b)) as u64).wrapping_add(c)))
        }
        "bfe" => Some(three(|a: T, at: u32, n: u32| extracted(i128::from(a), at & 255, n & 255, T::BITS, T::MIN != 0) as T)),
        "dp4a" => Some(three(|a: u32, b: u32, c: u32| dotted::<T>(a, b, c))),
        "prmt" => Some(three(|a: u32, b: u32, order: u32| permuted(a, b, order))),
        "shf" => {
            let (left, wraps) = (words.contains(&"l"), words.contains(&"wrap"));
            Some(three(move |a: u32, b: u32, n: u32| {
                let both = u64::from(b) << 32 | u64::from(a);
                let n = if wraps { n & 31 } else { n.min(32) };
                if left { ((both << n) >> 32) as u32 } else { (both >> n) as u32 }
            }))
        }
        _ => None,
    })?
}

fn fused(kind: &str, rounding: Option<Rounding>) -> Option<Three> {
    match (kind, rounding) {
        ("f32", Some(Rounding::Nearest) | None) => {
            Some(three(|a: f32, b: f32, c: f32| a.mul_add(b, c)))
        }
        ("f32", Some(way)) => {
            Some(three(move |a: f32, b: f32, c: f32| way.narrow(a.wide() * b.wide() + c.wide())))
        }
        ("f64", Some(Rounding::Nearest) | None) => {
            Some(three(|a: f64, b: f64, c: f64| a.mul_add(b, c)))
        }
        ("f16" | "bf16", _) => with_float!(kind, T => {
            three(|a: T, b: T, c: T| T::narrow(a.wide().mul_add(b.wide(), c.wide())))
        }),
        ("f16x2" | "bf16x2", _) => with_float!(kind.trim_end_matches("x2"), T => {
            three(|a: u64, b: u64, c: u64| {
                let of = |shift: u32| {
                    let [a, b, c] = [a, b, c].map(|bits| T::of(bits >> shift).wide());
                    T::narrow(a.mul_add(b, c)).bits() << shift
                };
                of(0) | of(16)
            })
        }),
        _ => None,
    }
}

/// Both halves of a register alike.
fn halves(kind: &str, name: &str) -> Option<Two> {
    let part = kind.strip_suffix("x2")?;
    with_float!(part, T => {
        let f: fn(f64, f64) -> f64 = match name {
            "add" => |a, b| a + b,
            "sub" => |a, b| a - b,
            "mul" => |a, b| a * b,
            "min" => f64::min,
            "max" => f64::max,
            _ => return None,
        };
        two(move |a: u64, b: u64| {
            let of = |shift: u32| {
                T::narrow(f(T::of(a >> shift).wide(), T::of(b >> shift).wide())).bits() << shift
            };
            of(0) | of(16)
        })
    })
}

fn high(a: i128, b: i128, n_bits: u32) -> i128 {
    (a.wrapping_mul(b)) >> n_bits
}

/// `n` bits of `a` from the bit `at`.
fn extracted(a: i128, at: u32, n: u32, n_bits: u32, signed: bool) -> i128 {
    let n = n.min(n_bits.saturating_sub(at));
    if n == 0 {
        return 0;
    }
    let field = (a >> at.min(n_bits)) & ((1 << n) - 1);
    if signed && field >> (n - 1) & 1 == 1 { field - (1 << n) } else { field }
}

/// `dp4a`: four products of bytes, signed as the type is, added to `c`.
fn dotted<T: Bits + Into<i128>>(a: u32, b: u32, c: u32) -> u32 {
    let is_signed = T::of(u64::MAX).into() < 0;
    let byte = |bits: u32, at: usize| {
        let byte = bits.to_le_bytes()[at];
        if is_signed { i32::from(byte.cast_signed()) } else { i32::from(byte) }
    };
    (0..4).fold(c, |sum, at| sum.wrapping_add_signed(byte(a, at) * byte(b, at)))
}

/// `prmt`: each nibble of `order` picks one of eight bytes, or its sign.
fn permuted(a: u32, b: u32, order: u32) -> u32 {
    let bytes = (u64::from(b) << 32 | u64::from(a)).to_le_bytes();
    let picked: [u8; 4] = std::array::from_fn(|at| {
        let choice = order >> (4 * at) & 15;
        let byte = bytes[(choice & 7) as usize];
        if choice & 8 == 0 {
            byte
        } else if byte & 0x80 == 0 {
            0
        } else {
            0xFF
        }
    });
    u32::from_le_bytes(picked)
}

/// How an atomic instruction joins the old value `a` with `b`, and `c` for `cas`.
pub(super) fn joined(word: &str, kind: &str) -> Option<Join> {
    fn of<T: Bits>(f: impl Fn(T, T) -> T + Send + Sync + 'static) -> Join {
        Box::new(move |a, b, _| f(T::of(a), T::of(b)).bits())
    }
    if let Some(join) = with_integer!(kind, T => match word {
        "add" => Some(of(|a: T, b: T| a.wrapping_add(b))),
        "min" => Some(of(|a: T, b: T| a.min(b))),
        "max" => Some(of(|a: T, b: T| a.max(b))),
        "and" => Some(of(|a: T, b: T| a & b)),
        "or" => Some(of(|a: T, b: T| a | b)),
        "xor" => Some(of(|a: T, b: T| a ^ b)),
        "exch" => Some(of(|_: T, b: T| b)),
        "cas" => {
            let join: Join = Box::new(|a, b, c| if T::of(a) == T::of(b) { c } else { a });
            Some(join)
        }
        _ => None,
    }) {
        return join;
    }
    with_float!(kind, T => match word {
        "add" => Some(of(|a: T, b: T| T::narrow(a.wide() + b.wide()))),
        _ => None,
    })?
}
