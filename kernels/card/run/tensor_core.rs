//! The instructions of the tensor cores, after the tables of "PTX ISA 9.0", sections on
//! `mma.m16n8k16`, `mma.m16n8k32` and `ldmatrix`: which lane holds which elements of a fragment.

use half::{bf16, f16};

use crate::ptx::{Factors, Lanes};

/// `[16, k]` by `[k, 8]`, added to `[16, 8]`.
pub(super) fn multiply(
    a: [&Lanes; 4],
    b: [&Lanes; 2],
    c: [&Lanes; 4],
    factors: Factors,
) -> [Lanes; 4] {
    match factors {
        Factors::F16 => floats(a, b, c, |bits| f32::from(f16::from_bits(bits))),
        Factors::Bf16 => floats(a, b, c, |bits| f32::from(bf16::from_bits(bits))),
        Factors::S8 => bytes(a, b, c),
    }
}

/// Of bytes, `k` being 32: a register holds four of a row of `a`, or of a column of `b`.
fn bytes(a: [&Lanes; 4], b: [&Lanes; 2], c: [&Lanes; 4]) -> [Lanes; 4] {
    let mut left = [[0i32; 32]; 16];
    let mut right = [[0i32; 8]; 32];
    let byte = |bits: u64, at: usize| i32::from(bits.to_le_bytes()[at].cast_signed());
    for lane in 0..32 {
        let (group, first) = (lane / 4, lane % 4 * 4);
        for at in 0..4 {
            for (register, lanes) in a.iter().enumerate() {
                let row = group + register % 2 * 8;
                left[row][first + register / 2 * 16 + at] = byte(lanes[lane], at);
            }
            for (register, lanes) in b.iter().enumerate() {
                right[first + register * 16 + at][group] = byte(lanes[lane], at);
            }
        }
    }
    summed(c, |row, column, sum| {
        let products = (0..32).map(|k| left[row][k] * right[k][column]);
        u64::from(products.fold(sum as i32, i32::wrapping_add).cast_unsigned())
    })
}

/// The sums of all lanes, each with what `add` makes of the old one.
fn summed(c: [&Lanes; 4], add: impl Fn(usize, usize, u64) -> u64) -> [Lanes; 4] {
    std::array::from_fn(|register| {
        std::array::from_fn(|lane| {
            let (group, pair) = (lane / 4, lane % 4 * 2);
            add(group + register / 2 * 8, pair + register % 2, c[register][lane])
        })
    })
}

/// Of half floats, `k` being 16: multiplied exactly, added in f32 from the first on.
fn floats(a: [&Lanes; 4], b: [&Lanes; 2], c: [&Lanes; 4], widen: fn(u16) -> f32) -> [Lanes; 4] {
    let widen = |bits: u64| widen(bits as u16);
    let mut left = [[0.0f32; 16]; 16];
    let mut right = [[0.0f32; 8]; 16];
    for lane in 0..32 {
        let (group, pair) = (lane / 4, lane % 4 * 2);
        for (register, lanes) in a.iter().enumerate() {
            let row = group + register % 2 * 8;
            let column = pair + register / 2 * 8;
            left[row][column] = widen(lanes[lane]);
            left[row][column + 1] = widen(lanes[lane] >> 16);
        }
        for (register, lanes) in b.iter().enumerate() {
            let row = pair + register * 8;
            right[row][group] = widen(lanes[lane]);
            right[row + 1][group] = widen(lanes[lane] >> 16);
        }
    }
    summed(c, |row, column, sum| {
        let products = (0..16).map(|k| left[row][k] * right[k][column]);
        let sum = products.fold(f32::from_bits(sum as u32), |sum, product| sum + product);
        u64::from(sum.to_bits())
    })
}

/// The fragment of one 8 by 8 matrix of 16-bit elements whose rows are `rows`.
pub(super) fn fragment(rows: &[[u16; 8]; 8], transposed: bool) -> Lanes {
    std::array::from_fn(|lane| {
        let (group, pair) = (lane / 4, lane % 4 * 2);
        let element =
            |at: usize| u64::from(if transposed { rows[at][group] } else { rows[group][at] });
        element(pair) | element(pair + 1) << 16
    })
}
