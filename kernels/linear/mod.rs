//! `linear`: `y[t, n] = x[t, k] * w[n, k]^T`, the op that a decoder spends nearly all its time in.
//!
//! | weight | device | path |
//! |---|---|---|
//! | [`Format::Panels`] | CPU | our own tiles (`cpu.rs`): bits of a row never depend on others |
//! | [`Format::Quantised`] | any | candle's integer kernels (`quantised.rs`), see [`RowOrder`] |
//! | [`Format::Dense`] | any | candle's matrix product (`portable.rs`) |
//!
//! 16-bit floats are never multiplied on CPU: candle would widen the whole matrix at each call,
//! so they become f32 or blocks when the weight is built. Must not know what a weight is for.

mod cpu;
mod format;
mod panels;
pub mod portable;
mod quantised;
pub mod reference;
mod rows;
#[cfg(test)]
mod tests;
mod weight;

pub use format::{Format, Quant};
pub use panels::Panels;
pub use quantised::Quantised;
pub use weight::{Weight, WeightBuilder, quantize};

use crate::host::HostF32;
use crate::shape::Shapes;
use candle_core::{DType, Result, Tensor};
use std::sync::Arc;

/// Whether the bits of a row may depend on the number of rows it is computed with.
///
/// On CPU [`RowOrder::Fixed`] makes every weight format deterministic in this sense; f32 panels
/// are so under both. On a GPU neither promises it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOrder {
    /// A row alone and in a crowd gets the same bits. On x86 this costs nothing for q8_0, and
    /// for q4_k it leaves AMX unused where there is one; on aarch64 rows are padded to four.
    Fixed,
    /// Whatever is fastest for the number of rows.
    Fastest,
}

/// A product with one weight.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Arc<Weight>,
    order: RowOrder,
}

impl Linear {
    /// A product with `weight`, which may be shared (a head tied to the embedding).
    pub fn new(weight: Arc<Weight>, order: RowOrder) -> Self {
        Self { weight, order }
    }

    /// The weight.
    pub fn weight(&self) -> &Arc<Weight> {
        &self.weight
    }

    /// `x [t, k]` to `[t, n]`, in the type of `x`. `x` need not be contiguous.
    ///
    /// # Errors
    /// When `x` is not `[t, k]` on the weight's device, or not f32 where the CPU computes.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        // A slice of a batch (the last position of each sequence, say) has gaps between its rows.
        let x = &x.contiguous()?;
        let (n, k) = self.weight.dims()?;
        let mut shapes = Shapes::of("linear");
        shapes.bind("k", k, "the weight")?;
        let [t, _] = shapes.expect("x", x, ["t", "k"])?;
        if t == 0 {
            return Tensor::zeros((0, n), x.dtype(), x.device());
        }
        match &*self.weight {
            Weight::Panels(panels) => {
                shapes.expect_dtype("x", x, &[DType::F32])?;
                Tensor::from_vec(cpu::matmul(panels, &HostF32::of(x)?), (t, n), x.device())
            }
            Weight::Dense(w) => portable::linear(x, w),
            Weight::Quantised(quantised) => match self.order {
                RowOrder::Fixed if x.device().is_cpu() => quantised.forward_fixed(x),
                RowOrder::Fixed | RowOrder::Fastest => quantised.forward(x),
            }?
            .to_dtype(x.dtype()),
        }
    }
}
