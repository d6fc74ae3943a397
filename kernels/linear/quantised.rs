//! A quantised weight: candle's `QTensor`, and the way rows get into it and out of it as bytes.
//!
//! On CPU candle rounds the activations too (8 bits, one scale a block) and multiplies integers;
//! on x86 it keeps a second, rearranged copy of the blocks from the first product on. Must not
//! know files: the caller keeps the bytes where it likes.

use super::format::Quant;
use super::rows::Rows;
use candle_core::quantized::k_quants::{BlockQ4K, BlockQ8_0, GgmlType};
use candle_core::quantized::{QStorage, QTensor};
use candle_core::{DType, Device, Result, Tensor, bail};
use rayon::prelude::*;
use std::borrow::Cow;

/// Rows in one call where candle might take another kernel for more (AMX from 32 rows on).
const ROWS_FIXED: usize = 28;

/// Candle's kernels for aarch64 take rows by four and finish with single rows in another order of
/// sums, so that there a row's bits are fixed only if every call is a multiple of four rows.
const ROWS_MULTIPLE: usize = if cfg!(target_arch = "aarch64") { 4 } else { 1 };

/// An `[n, k]` matrix in quantised blocks.
#[derive(Debug)]
pub struct Quantised {
    /// Boxed: on Metal its 300 bytes would be those of every weight.
    tensor: Box<QTensor>,
    quant: Quant,
}

impl Quantised {
    /// Takes blocks as [`Quantised::data`] gave them: `n` rows of `k` weights.
    ///
    /// # Errors
    /// When the number of bytes is not that of such a matrix.
    pub fn from_data(
        quant: Quant,
        (n, k): (usize, usize),
        data: &[u8],
        device: &Device,
    ) -> Result<Self> {
        if !k.is_multiple_of(quant.block()) || data.len() != quant.bytes(n, k) {
            bail!("{} bytes are not a {} matrix [{n}, {k}]", data.len(), quant.name());
        }
        // Candle reads blocks in place as structs with f16 fields, which lie on even addresses.
        let odd = !(data.as_ptr() as usize).is_multiple_of(align_of::<BlockQ8_0>());
        let data = if odd { Cow::Owned(data.to_vec()) } else { Cow::Borrowed(data) };
        let storage = QStorage::from_data(data, device, quant.ggml())?;
        Ok(Self { tensor: Box::new(QTensor::new(storage, (n, k))?), quant })
    }

    /// The blocks as bytes, row by row: what GGUF files hold.
    pub fn data(&self) -> Result<Cow<'_, [u8]>> {
        self.tensor.data()
    }

    /// The format of the blocks.
    pub fn quant(&self) -> Quant {
        self.quant
    }

    /// Address of the first block on a CUDA device, where blocks lie as in [`Quantised::data`].
    ///
    /// # Errors
    /// When they are elsewhere.
    #[cfg(feature = "cuda")]
    pub(crate) fn address(&self) -> Result<u64> {
        Ok(self.tensor.device_ptr()? as u64)
    }

    /// `(n, k)`.
    pub(super) fn dims(&self) -> Result<(usize, usize)> {
        self.tensor.shape().dims2()
    }

    /// The matrix as f32, on CPU.
    pub(super) fn dequantise(&self) -> Result<Tensor> {
        self.tensor.dequantize(&Device::Cpu)
    }

    /// Rows `tokens` `[t]` as f32 `[t, k]`.
    pub(super) fn gather(&self, tokens: &Tensor) -> Result<Tensor> {
        self.tensor.embedding(tokens)
    }

    /// `x [t, k]`, contiguous, times the transpose: `[t, n]`, f32 but on CUDA, whose kernels take
    /// half floats and give them back. All rows at once, by whichever kernel candle finds fastest
    /// for so many.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if x.device().is_cuda() {
            return x.apply_op1_no_bwd(&*self.tensor);
        }
        x.to_dtype(DType::F32)?.apply_op1_no_bwd(&*self.tensor)
    }

    /// As [`Quantised::forward`] on CPU, but a row's bits do not depend on the number of rows:
    /// every call stays within the row counts that share one kernel.
    pub(super) fn forward_fixed(&self, x: &Tensor) -> Result<Tensor> {
        let (t, k) = x.dims2()?;
        let padding = t.next_multiple_of(ROWS_MULTIPLE) - t;
        if padding > 0 {
            let zeros = Tensor::zeros((padding, k), x.dtype(), x.device())?;
            return self.forward_fixed(&Tensor::cat(&[x, &zeros], 0)?)?.narrow(0, 0, t);
        }
        let one_kernel = self.quant != Quant::Q4K || t <= ROWS_FIXED;
        if one_kernel {
            return self.forward(x);
        }
        let parts = (0..t)
            .step_by(ROWS_FIXED)
            .map(|from| self.forward(&x.narrow(0, from, ROWS_FIXED.min(t - from))?))
            .collect::<Result<Vec<_>>>()?;
        Tensor::cat(&parts, 0)
    }
}

/// Blocks in the making, on CPU.
pub(super) enum Blocks {
    Q8_0(Vec<BlockQ8_0>),
    Q4K(Vec<BlockQ4K>),
}

impl Blocks {
    pub(super) fn with_capacity(quant: Quant, n: usize, k: usize) -> Self {
        let n_blocks = n * k / quant.block();
        match quant {
            Quant::Q8_0 => Self::Q8_0(Vec::with_capacity(n_blocks)),
            Quant::Q4K => Self::Q4K(Vec::with_capacity(n_blocks)),
        }
    }

    /// Quantises and appends `n_rows` rows of `k` weights.
    ///
    /// # Errors
    /// When a weight is not finite: rounding would turn it into a plain number and hide it.
    pub(super) fn push(&mut self, rows: Rows<'_>, n_rows: usize, k: usize) -> Result<()> {
        let bad_row = match self {
            Self::Q8_0(blocks) => quantise(rows, n_rows, k, blocks),
            Self::Q4K(blocks) => quantise(rows, n_rows, k, blocks),
        };
        match bad_row {
            Some(row) => bail!("row {row} holds a weight that is not finite"),
            None => Ok(()),
        }
    }

    /// The finished matrix on `device`.
    pub(super) fn finish(self, (n, k): (usize, usize), device: &Device) -> Result<Quantised> {
        let (quant, storage) = match self {
            Self::Q8_0(blocks) => (Quant::Q8_0, QStorage::Cpu(Box::new(blocks))),
            Self::Q4K(blocks) => (Quant::Q4K, QStorage::Cpu(Box::new(blocks))),
        };
        let tensor = Box::new(QTensor::new(storage, (n, k))?);
        let quantised = Quantised { tensor, quant };
        if device.is_cpu() {
            return Ok(quantised);
        }
        Quantised::from_data(quant, (n, k), &quantised.data()?, device)
    }
}

/// Appends the rows to `blocks`; returns the first row that holds a weight that is not finite.
fn quantise<B: GgmlType>(
    rows: Rows<'_>,
    n_rows: usize,
    k: usize,
    blocks: &mut Vec<B>,
) -> Option<usize> {
    let row_blocks = k / B::BLCK_SIZE;
    let done = blocks.len();
    blocks.resize(done + n_rows * row_blocks, B::zeros());
    blocks[done..]
        .par_chunks_exact_mut(row_blocks)
        .enumerate()
        .map_init(
            || vec![0.0; k],
            |wide, (row, blocks)| {
                rows.widen(row * k, wide);
                B::from_float(wide, blocks);
                wide.iter().any(|weight| !weight.is_finite()).then_some(row)
            },
        )
        .flatten()
        .min()
}
