//! `rms_norm`: `y = x / sqrt(mean(x^2) + eps) * w` row by row (Zhang and Sennrich 2019), and the
//! same after adding a residual, which is how a pre-norm decoder always uses it.
//!
//! Squares are summed in f32 in a fixed order, also where the rows are 16-bit; a row's bits depend
//! on that row alone. Must not know which layer it serves.

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
use candle_core::{Device, Result, Tensor};

/// `x [t, h]`, `w [h]` to `[t, h]`; `eps` is added to the mean square.
///
/// # Errors
/// When the shapes clash or the tensors lie on different devices; on CPU also when they are not
/// f32.
pub fn rms_norm(x: &Tensor, w: &Tensor, eps: f32) -> Result<Tensor> {
    let mut shapes = Shapes::of("rms_norm");
    shapes.expect("x", x, ["t", "h"])?;
    shapes.expect("w", w, ["h"])?;
    match x.device() {
        Device::Cpu => cpu::rms_norm(x, w, eps),
        Device::Cuda(_) if switch::is_on("rms_norm") => cuda::rms_norm(x, w, eps),
        Device::Cuda(_) | Device::Metal(_) => portable::rms_norm(x, w, eps),
    }
}

/// `sum = x + residual`, then [`rms_norm`] of it: `(normed, sum)`, each `[t, h]`.
///
/// # Errors
/// As [`rms_norm`].
pub fn add_rms_norm(
    x: &Tensor,
    residual: &Tensor,
    w: &Tensor,
    eps: f32,
) -> Result<(Tensor, Tensor)> {
    let mut shapes = Shapes::of("add_rms_norm");
    shapes.expect("x", x, ["t", "h"])?;
    shapes.expect("residual", residual, ["t", "h"])?;
    shapes.expect("w", w, ["h"])?;
    match x.device() {
        Device::Cpu => cpu::add_rms_norm(x, residual, w, eps),
        Device::Cuda(_) if switch::is_on("rms_norm") => cuda::add_rms_norm(x, residual, w, eps),
        Device::Cuda(_) | Device::Metal(_) => portable::add_rms_norm(x, residual, w, eps),
    }
}
