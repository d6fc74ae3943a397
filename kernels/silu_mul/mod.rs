//! `silu_mul`: `y[t, i] = silu(gate) * up`, where `gate_up [t, 2i]` holds both side by side as one
//! fused projection made them and `silu(x) = x / (1 + e^-x)` (the SwiGLU of Shazeer 2020).
//!
//! Must not know what the columns were multiplied with.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod launch;
pub mod portable;
pub mod reference;

// Without the feature no tensor lies on such a device, and the name serves the dispatch alone.
#[cfg(not(feature = "cuda"))]
use portable as cuda;

use crate::shape::Shapes;
use crate::switch;
use candle_core::{Device, Result, Tensor, bail};

/// `gate_up [t, 2i]`, the gate in the first `i` columns, to `[t, i]` of the same type.
///
/// # Errors
/// When the width is odd; on CPU also when the tensor is not f32.
pub fn silu_mul(gate_up: &Tensor) -> Result<Tensor> {
    let mut shapes = Shapes::of("silu_mul");
    let [_, width] = shapes.expect("gate_up", gate_up, ["t", "2i"])?;
    if !width.is_multiple_of(2) {
        bail!("silu_mul: gate_up has {width} columns, wanted an even number")
    }
    match gate_up.device() {
        Device::Cpu => cpu::silu_mul(gate_up),
        Device::Cuda(_) if switch::is_on("silu_mul") => cuda::silu_mul(gate_up),
        Device::Cuda(_) | Device::Metal(_) => portable::silu_mul(gate_up),
    }
}
