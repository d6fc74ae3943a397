//! `moe`: a mixture of expert MLPs (Mixtral: Jiang et al. 2024). Each token is sent to the `k`
//! experts that the router likes best, and gets the sum of their outputs weighted by the router.
//!
//! ```text
//! p = softmax(logits[t, e])  in f32         top = k largest of p, ties to the lower index
//! w = p[top] / sum(p[top])                  y = sum over top, best first: w * down(silu_mul(gate_up(x)))
//! ```
//!
//! On CPU (`cpu.rs`) rows are sorted by expert and each expert multiplies its own rows once. The
//! portable path never brings the routing to the host, at the price told in `portable.rs`; on CUDA
//! kernels of our own sort rows and multiply each by its expert, dense or quantised (`cuda.rs`,
//! `kernel.cu`). Must not know layers.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod launch;
pub mod portable;
pub mod reference;
mod route;

// Without the feature no tensor lies on such a device, and the name serves the dispatch alone.
#[cfg(not(feature = "cuda"))]
use portable as cuda;

pub use route::{Routing, route};

use std::ops::Deref;
#[cfg(feature = "cuda")]
use std::sync::OnceLock;

use crate::linear::Linear;
use crate::shape::Shapes;
use crate::switch;
use candle_core::{DType, Device, Result, Tensor, bail};

/// One expert: an MLP `h -> i -> h`.
#[derive(Debug, Clone)]
pub struct Expert {
    /// `[2i, h]`: gate and up, one below the other.
    pub gate_up: Linear,
    /// `[h, i]`.
    pub down: Linear,
}

/// The experts of one layer, and what CUDA's kernels find them by.
#[derive(Debug, Clone)]
pub struct Experts {
    experts: Vec<Expert>,
    /// Made at the first call.
    #[cfg(feature = "cuda")]
    matrices: OnceLock<cuda::Matrices>,
}

impl FromIterator<Expert> for Experts {
    fn from_iter<I: IntoIterator<Item = Expert>>(experts: I) -> Self {
        Self {
            experts: experts.into_iter().collect(),
            #[cfg(feature = "cuda")]
            matrices: OnceLock::new(),
        }
    }
}

impl Deref for Experts {
    type Target = [Expert];

    fn deref(&self) -> &[Expert] {
        &self.experts
    }
}

impl Expert {
    /// `x [t, h]` to `[t, h]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.down.forward(&crate::silu_mul::silu_mul(&self.gate_up.forward(x)?)?)
    }
}

/// `x [t, h]` and the router's `logits [t, e]` to `[t, h]`, with `top_k` experts a token.
///
/// # Errors
/// When the shapes clash or `top_k` is not within `1..=e`.
pub fn moe(x: &Tensor, logits: &Tensor, experts: &Experts, top_k: usize) -> Result<Tensor> {
    let mut shapes = Shapes::of("moe");
    shapes.bind("e", experts.len(), "the experts")?;
    shapes.expect("x", x, ["t", "h"])?;
    let [_, e] = shapes.expect("logits", logits, ["t", "e"])?;
    if top_k == 0 || top_k > e {
        bail!("moe: {top_k} experts a token of {e}")
    }
    match x.device() {
        Device::Cpu => {
            shapes.expect_dtype("x", x, &[DType::F32])?;
            cpu::moe(x, logits, experts, top_k)
        }
        Device::Cuda(_) if switch::is_on("moe") => cuda::moe(x, logits, experts, top_k),
        Device::Cuda(_) | Device::Metal(_) => portable::moe(x, logits, experts, top_k),
    }
}
