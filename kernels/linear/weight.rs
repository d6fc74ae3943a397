//! A weight matrix in any format, and the builder that fills it tensor by tensor.
//!
//! Fused projections (query, key and value; gate and up) are one weight whose builder was given
//! several tensors, so that one product serves them all. At any time there is the weight being
//! built and one source tensor, no more. Must not know names of tensors, or files.

use super::format::{Format, Quant};
use super::panels::Panels;
use super::quantised::{Blocks, Quantised};
use super::rows::Rows;
use crate::shape::Shapes;
use candle_core::{DType, Device, Result, Tensor, bail};

/// An `[n, k]` matrix, ready for products with activations `[t, k]`.
#[derive(Debug)]
pub enum Weight {
    /// Packed f32, on CPU.
    Panels(Panels),
    /// A plain tensor `[n, k]`.
    Dense(Tensor),
    /// Quantised blocks.
    Quantised(Quantised),
}

impl Weight {
    /// Packs, uploads or quantises a whole matrix `[n, k]`, f32, f16 or bf16, onto `device`.
    pub fn from_tensor(tensor: &Tensor, format: Format, device: &Device) -> Result<Self> {
        let (n, k) = tensor.dims2()?;
        let mut builder = WeightBuilder::new((n, k), format, device)?;
        builder.push(tensor)?;
        builder.finish()
    }

    /// `(n, k)`: outputs and inputs.
    pub fn dims(&self) -> Result<(usize, usize)> {
        match self {
            Self::Panels(panels) => Ok((panels.n(), panels.k())),
            Self::Dense(tensor) => tensor.dims2(),
            Self::Quantised(quantised) => quantised.dims(),
        }
    }

    /// The format it is kept in.
    pub fn format(&self) -> Format {
        match self {
            Self::Panels(_) => Format::Panels,
            Self::Dense(tensor) => Format::Dense(tensor.dtype()),
            Self::Quantised(quantised) => Format::Quantised(quantised.quant()),
        }
    }

    /// Rows `tokens` `[t]` (u32) as `[t, k]`: how a head tied to the embedding serves lookups
    /// without a second copy. f32 from panels and blocks, else as stored.
    ///
    /// # Errors
    /// When a token lies outside the table.
    pub fn gather(&self, tokens: &Tensor) -> Result<Tensor> {
        let mut shapes = Shapes::of("gather");
        let [t] = shapes.expect("tokens", tokens, ["t"])?;
        shapes.expect_dtype("tokens", tokens, &[DType::U32])?;
        match self {
            Self::Panels(panels) => {
                let rows = panels.gather(&tokens.to_vec1()?)?;
                Tensor::from_vec(rows, (t, panels.k()), &Device::Cpu)
            }
            Self::Dense(tensor) => crate::embed::gather(tensor, tokens),
            Self::Quantised(quantised) => quantised.gather(tokens),
        }
    }

    /// The matrix as the products see it, as f32 `[n, k]` on CPU: for tests and references.
    pub fn to_f32(&self) -> Result<Tensor> {
        match self {
            Self::Panels(panels) => {
                let all = (0..panels.n() as u32).collect::<Vec<_>>();
                Tensor::from_vec(panels.gather(&all)?, (panels.n(), panels.k()), &Device::Cpu)
            }
            Self::Dense(tensor) => tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32),
            Self::Quantised(quantised) => quantised.dequantise(),
        }
    }
}

/// A weight being filled row by row.
pub struct WeightBuilder {
    dims: (usize, usize),
    n_done: usize,
    device: Device,
    store: Store,
}

enum Store {
    Panels(Panels),
    Dense(Tensor),
    Quantised(Blocks),
}

impl WeightBuilder {
    /// An empty matrix of `n` rows of `k` on `device`.
    ///
    /// # Errors
    /// When `k` does not fit the format's block (see [`Quant::for_row`]), or panels are wanted
    /// anywhere but on CPU.
    pub fn new((n, k): (usize, usize), format: Format, device: &Device) -> Result<Self> {
        let store = match format {
            Format::Panels if !device.is_cpu() => bail!("packed panels live on the CPU only"),
            Format::Panels => Store::Panels(Panels::with_capacity(n, k)),
            Format::Dense(dtype) => Store::Dense(Tensor::zeros((n, k), dtype, device)?),
            Format::Quantised(quant) if quant.for_row(k) != Some(quant) => {
                bail!("rows of {k} do not divide into {} blocks of {}", quant.name(), quant.block())
            }
            Format::Quantised(quant) => Store::Quantised(Blocks::with_capacity(quant, n, k)),
        };
        Ok(Self { dims: (n, k), n_done: 0, device: device.clone(), store })
    }

    /// Appends the rows of `part` `[rows, k]`, f32, f16 or bf16 on any device.
    ///
    /// # Errors
    /// When `part` is not `k` wide or holds more rows than are left, and, where it is quantised,
    /// when a weight is not finite.
    pub fn push(&mut self, part: &Tensor) -> Result<()> {
        let (n, k) = self.dims;
        let (n_rows, width) = part.dims2()?;
        if width != k || self.n_done + n_rows > n {
            bail!("rows [{n_rows}, {width}] do not fit after {} rows of [{n}, {k}]", self.n_done);
        }
        match &mut self.store {
            Store::Panels(panels) => Rows::of(part, |rows| panels.push(rows))?,
            Store::Dense(tensor) => {
                let part = part.to_device(&self.device)?.to_dtype(tensor.dtype())?;
                tensor.slice_set(&part.contiguous()?, 0, self.n_done)?;
            }
            Store::Quantised(blocks) => Rows::of(part, |rows| blocks.push(rows, n_rows, k))??,
        }
        self.n_done += n_rows;
        Ok(())
    }

    /// The finished weight.
    ///
    /// # Errors
    /// When rows are missing.
    pub fn finish(self) -> Result<Weight> {
        let (n, k) = self.dims;
        if self.n_done != n {
            bail!("a weight [{n}, {k}] was given {} rows", self.n_done);
        }
        Ok(match self.store {
            Store::Panels(panels) => Weight::Panels(panels),
            Store::Dense(tensor) => Weight::Dense(tensor),
            Store::Quantised(blocks) => Weight::Quantised(blocks.finish(self.dims, &self.device)?),
        })
    }
}

/// Quantises a whole matrix as `wanted`, or as near to it as rows of its width allow; on CPU it
/// becomes f32 where no block fits. The weight's [`Weight::format`] says what was chosen.
pub fn quantize(tensor: &Tensor, wanted: Quant, device: &Device) -> Result<Weight> {
    let format = Format::choose(Some(wanted), tensor.dim(1)?, tensor.dtype(), device);
    Weight::from_tensor(tensor, format, device)
}
