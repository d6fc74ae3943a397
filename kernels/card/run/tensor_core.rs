//! The instructions of the tensor cores, after the tables of "PTX ISA 9.0", sections on
//! `mma.m16n8k16` and `ldmatrix`: which lane holds which elements of a fragment.

use half::{bf16, f16};

use crate::ptx::Lanes;

/// A product of half floats, `[16, 16]` by `[16, 8]`, added to f32 `[16, 8]`.
///
/// Elements are multiplied exactly and added in f32 from the first on.
pub(super) fn multiply(a: [&Lanes; 4], b: [&Lanes; 2], c: [&Lanes; 4], brain: bool) -> [Lanes; 4] {
    let widen = |bits: u64| {
        let bits = bits as u16;
        if brain { f32::from(bf16::from_bits(bits)) } else { f32::from(f16::from_bits(bits)) }
    };
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
    let mut out = [[0; 32]; 4];
    for lane in 0..32 {
        let (group, pair) = (lane / 4, lane % 4 * 2);
        for register in 0..4 {
            let (row, column) = (group + register / 2 * 8, pair + register % 2);
            let mut sum = f32::from_bits(c[register][lane] as u32);
            for k in 0..16 {
                sum += left[row][k] * right[k][column];
            }
            out[register][lane] = u64::from(sum.to_bits());
        }
    }
    out
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
