//! The CUDA kernels against the references, on the CPU: the very sources that nvcc compiles, run by
//! the very launches that the CUDA door carries out, on a device made of fibers (`shim/`).
//!
//! This finds wrong indices, reads and writes out of bounds, memory that nobody wrote, missing
//! barriers and waits. It does not find what depends on the memory order or the speed of a GPU.
//!
//! A new kernel lands as `kernel.cu` with an `ENTRY` for each function, `launch.rs`, and a test here
//! over shapes that are no multiple of anything; one that has barriers also with a case in which
//! each of them is missed (`expect_all_missed`). Linux only: faults and fibers are the system's.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "clippy lets #[test] functions unwrap, but not the helpers that they share"
)]

mod attention;
#[path = "../parity/close.rs"]
#[allow(dead_code, reason = "the parity tests compare tensors, these do not")]
mod close;
mod dense;
mod device;
mod kv_write;
mod moe;
mod net;
#[path = "../parity/noise.rs"]
mod noise;
#[path = "../parity/ragged.rs"]
mod ragged;
mod sample;

use candle_core::DType;
use close::Close;
use stillroom_kernels::launch::Float;

/// All types that kernels are compiled for.
const FLOATS: [Float; 3] = [Float::F32, Float::F16, Float::Bf16];

/// Whether results stored as `float` come near the reference.
fn check(what: &str, float: Float, found: &[f32], wanted: &[f32]) -> Result<(), String> {
    let dtype = match float {
        Float::F32 => DType::F32,
        Float::F16 => DType::F16,
        Float::Bf16 => DType::BF16,
    };
    Close::of(dtype).check(found, wanted).map_err(|gap| format!("{what}, {float}: {gap}"))
}
