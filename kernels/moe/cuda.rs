//! `moe` on CUDA: routed, sorted and multiplied on the device, without a copy to the host.
//!
//! The kernels find the experts' matrices by their addresses, which are uploaded at the first call
//! and stay with the experts. Quantised matrices are multiplied from their blocks as candle holds
//! them. Experts that are not all stored alike go the portable way.
//!
//! Candle has kernels for quantised experts too (`moe_gemm_gguf`, 0.11.1), and they do not serve: a
//! block asks for four whole rows of shared memory without asking leave to go above 48 KiB, so that
//! the launch fails unseen for q8_0 rows of more than 11,296 elements (a Mixtral's have 14,336); each
//! place reads the matrix anew; and all experts must be one tensor.

use candle_core::{DType, Device, Result, Tensor, bail};

use super::launch::{self, N_EXPERTS_MAX, Pointers, Shape, Stored, TOP_K_MAX};
use super::{Expert, Experts, portable};
use crate::cuda::{address, device_of, expect_float, launch, unwritten, unwritten_as};
use crate::linear::{Linear, Weight};

pub(super) fn moe(x: &Tensor, logits: &Tensor, experts: &Experts, top_k: usize) -> Result<Tensor> {
    let (t, h) = x.dims2()?;
    let fits = experts.len() <= N_EXPERTS_MAX && top_k <= TOP_K_MAX && logits.dtype() == x.dtype();
    let alike = |of: fn(&Expert) -> &Linear| {
        let mut stored = experts.iter().map(|expert| stored(of(expert), x.dtype()));
        let first = stored.next().flatten()?;
        stored.all(|other| other == Some(first)).then_some(first)
    };
    let stored = alike(|expert| &expert.gate_up).zip(alike(|expert| &expert.down));
    let Some((gate_up, down)) = stored.filter(|_| fits && t > 0) else {
        return portable::moe(x, logits, experts, top_k);
    };
    let (_, i) = experts[0].down.weight().dims()?;
    expect_alike(experts, (h, i))?;
    let matrices = match experts.matrices.get() {
        Some(matrices) => matrices,
        None => {
            let made = Matrices::new(experts, x.device())?;
            experts.matrices.get_or_init(|| made)
        }
    };
    let float = expect_float(x)?;
    let shape = Shape { float, gate_up, down, t, h, i, e: experts.len(), top_k };
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
        // that the launches want, at an address as even as all allocations of CUDA, those of the
        // matrices among them; matrices are stored as the plan was told, `Quantised` vouching for
        // the bytes of its blocks; they live as long as the experts that hold both them and their
        // addresses.
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
                let address = match &**of(expert).weight() {
                    Weight::Dense(matrix) => address(matrix)?,
                    Weight::Quantised(matrix) => matrix.address()?,
                    Weight::Panels(_) => bail!("moe: panels of an expert are not on the device"),
                };
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

/// How the kernels find the matrix of a product for activations of this type, if they take it.
fn stored(linear: &Linear, dtype: DType) -> Option<Stored> {
    match &**linear.weight() {
        Weight::Dense(matrix) if matrix.dtype() == dtype => Some(Stored::Dense),
        Weight::Quantised(matrix) => Some(Stored::Quantised(matrix.quant())),
        Weight::Dense(_) | Weight::Panels(_) => None,
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
