//! `moe` on CUDA: routed, sorted and multiplied on the device, without a copy to the host.
//!
//! The kernels find the experts' matrices by their addresses, which are uploaded at the first call
//! and stay with the experts. Quantised experts go the portable way.

use candle_core::{DType, Device, Result, Tensor, bail};

use super::launch::{self, N_EXPERTS_MAX, Pointers, Shape, TOP_K_MAX};
use super::{Expert, Experts, portable};
use crate::cuda::{address, device_of, expect_float, launch, unwritten, unwritten_as};
use crate::linear::{Linear, Weight};

pub(super) fn moe(x: &Tensor, logits: &Tensor, experts: &Experts, top_k: usize) -> Result<Tensor> {
    let (t, h) = x.dims2()?;
    let is_dense = experts.iter().all(|expert| {
        [&expert.gate_up, &expert.down].iter().all(|linear| dense(linear, x.dtype()).is_some())
    });
    let fits = experts.len() <= N_EXPERTS_MAX && top_k <= TOP_K_MAX && logits.dtype() == x.dtype();
    if !is_dense || !fits || t == 0 {
        return portable::moe(x, logits, experts, top_k);
    }
    let (_, i) = experts[0].down.weight().dims()?;
    expect_alike(experts, (h, i))?;
    let matrices = match experts.matrices.get() {
        Some(matrices) => matrices,
        None => {
            let made = Matrices::new(experts, x.device())?;
            experts.matrices.get_or_init(|| made)
        }
    };
    let shape = Shape { float: expect_float(x)?, t, h, i, e: experts.len(), top_k };
    let out = unwritten((t, h), x)?;
    let workspace = unwritten_as(launch::workspace_bytes(shape), DType::U8, x.device())?;
    let at = Pointers {
        x: address(x)?,
        logits: address(logits)?,
        gate_up: address(&matrices.gate_up)?,
        down: address(&matrices.down)?,
        workspace: address(&workspace)?,
        out: address(&out)?,
    };
    for plan in &launch::launches(shape, &at) {
        // SAFETY: shapes and types are checked above and in `mod.rs`; the workspace has the bytes
        // that the launches want, at an address as even as all allocations of CUDA; the matrices
        // live as long as the experts that hold both them and their addresses.
        unsafe { launch(device_of(x)?, plan) }?;
    }
    Ok(out)
}

/// Where the matrices of all experts lie: `[2e]` u32, which are `[e]` addresses of 64 bits.
#[derive(Debug, Clone)]
pub(super) struct Matrices {
    gate_up: Tensor,
    down: Tensor,
}

impl Matrices {
    fn new(experts: &[Expert], device: &Device) -> Result<Self> {
        let upload = |of: fn(&Expert) -> &Linear| {
            let mut halves = Vec::with_capacity(2 * experts.len());
            for expert in experts {
                let Weight::Dense(matrix) = &**of(expert).weight() else {
                    bail!("moe: a matrix of an expert is not dense")
                };
                let address = address(matrix)?;
                // The lower half first, as every device here stores it.
                halves.extend([address as u32, (address >> 32) as u32]);
            }
            let n = halves.len();
            Tensor::from_vec(halves, n, device)
        };
        Ok(Self {
            gate_up: upload(|expert| &expert.gate_up)?,
            down: upload(|expert| &expert.down)?,
        })
    }
}

/// The matrix of a product, if it is a plain one of this type.
fn dense(linear: &Linear, dtype: DType) -> Option<&Tensor> {
    match &**linear.weight() {
        Weight::Dense(matrix) if matrix.dtype() == dtype => Some(matrix),
        Weight::Dense(_) | Weight::Panels(_) | Weight::Quantised(_) => None,
    }
}

/// Every expert must have the matrices of the first: the kernels ask for no sizes but those.
fn expect_alike(experts: &[Expert], (h, i): (usize, usize)) -> Result<()> {
    for (at, expert) in experts.iter().enumerate() {
        let found = [expert.gate_up.weight().dims()?, expert.down.weight().dims()?];
        if found != [(2 * i, h), (h, i)] {
            bail!("moe: expert {at} has matrices {found:?}, wanted [{}, {h}] and [{h}, {i}]", 2 * i)
        }
    }
    Ok(())
}
