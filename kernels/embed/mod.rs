//! `embed`: rows of a table `[v, h]` picked by token, `[t]` to `[t, h]`.
//!
//! The table is kept as stored, since a lookup touches few rows and widening those is cheap; or it
//! is the output head's weight, where the two are tied. Must not know tokens' meaning.

#[cfg(feature = "cuda")]
mod cuda;
pub mod launch;
pub mod portable;

// Without the feature no tensor lies on such a device, and the name serves the dispatch alone.
#[cfg(not(feature = "cuda"))]
use portable as cuda;

use crate::idle::{self, Moment};
use crate::linear::Weight;
use crate::shape::Shapes;
use crate::switch;
use candle_core::{DType, Device, Result, Tensor};
use std::sync::Arc;

/// Where the rows come from.
#[derive(Debug, Clone)]
pub enum Embedding {
    /// A table of its own `[v, h]`, any float type.
    Table(Tensor),
    /// The head's weight, tied.
    Tied(Arc<Weight>),
}

impl Embedding {
    /// Rows `tokens` `[t]` (u32, on the table's device) as `[t, h]` of type `dtype`.
    ///
    /// # Errors
    /// When a token lies outside the table (on CPU) or the shapes are others.
    pub fn forward(&self, tokens: &Tensor, dtype: DType) -> Result<Tensor> {
        // The first op of a step.
        if !tokens.device().is_cpu() {
            idle::tell(Moment::Begins);
        }
        let rows = match self {
            Self::Table(table) => gather(table, tokens)?,
            Self::Tied(weight) => weight.gather(tokens)?,
        };
        rows.to_dtype(dtype)
    }
}

/// Rows `tokens` `[t]` of `table` `[v, h]`, as stored.
pub(crate) fn gather(table: &Tensor, tokens: &Tensor) -> Result<Tensor> {
    let mut shapes = Shapes::of("embed");
    shapes.expect("table", table, ["v", "h"])?;
    shapes.expect("tokens", tokens, ["t"])?;
    shapes.expect_dtype("tokens", tokens, &[DType::U32])?;
    match table.device() {
        Device::Cuda(_) if switch::is_on("embed") => cuda::gather(table, tokens),
        Device::Cpu | Device::Cuda(_) | Device::Metal(_) => portable::gather(table, tokens),
    }
}
