//! How a weight is kept: the closed set of formats, which of them a row can take, and what it costs.
//!
//! Pure arithmetic, so that a plan can be drawn up before any weight is read. Must not know a
//! tensor or a file.

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device};
use std::fmt;

use super::panels::LANES;

/// The quantised formats, by their GGML names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quant {
    /// Blocks of 32 signed bytes with one f16 scale: 8.5 bits a weight.
    Q8_0,
    /// Blocks of 256 four-bit values with a scale and a minimum per 32: 4.5 bits a weight.
    Q4K,
}

impl Quant {
    /// The name recipes use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q8_0 => "q8_0",
            Self::Q4K => "q4_k",
        }
    }

    /// The format that rows of `k` elements get where `self` is wanted: itself if `k` is a
    /// multiple of its block, else q8_0 if `k` is a multiple of 32, else none.
    pub fn for_row(self, k: usize) -> Option<Self> {
        [self, Self::Q8_0].into_iter().find(|quant| k.is_multiple_of(quant.block()))
    }

    /// Weights in one block.
    pub fn block(self) -> usize {
        self.ggml().block_size()
    }

    /// Bytes of an `[n, k]` matrix.
    pub fn bytes(self, n: usize, k: usize) -> usize {
        n * k / self.block() * self.ggml().type_size()
    }

    pub(super) fn ggml(self) -> GgmlDType {
        match self {
            Self::Q8_0 => GgmlDType::Q8_0,
            Self::Q4K => GgmlDType::Q4K,
        }
    }
}

/// How one weight is kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// f32 in packed panels, on CPU.
    Panels,
    /// A plain tensor of this type, on any device.
    Dense(DType),
    /// Quantised blocks, on any device.
    Quantised(Quant),
}

impl Format {
    /// The format of a weight with rows of `k`, stored as `stored`, on `device`, where `wanted`
    /// was asked for. Compare with `wanted` to learn of a fallback.
    pub fn choose(wanted: Option<Quant>, k: usize, stored: DType, device: &Device) -> Self {
        match wanted.and_then(|quant| quant.for_row(k)) {
            Some(quant) => Self::Quantised(quant),
            None if device.is_cpu() => Self::Panels,
            None => Self::Dense(stored),
        }
    }

    /// Bytes of an `[n, k]` matrix in this format.
    pub fn bytes(self, n: usize, k: usize) -> usize {
        match self {
            Self::Panels => n.next_multiple_of(LANES) * k * size_of::<f32>(),
            Self::Dense(dtype) => n * k * dtype.size_in_bytes(),
            Self::Quantised(quant) => quant.bytes(n, k),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panels => f.write_str("f32"),
            Self::Dense(dtype) => f.write_str(dtype.as_str()),
            Self::Quantised(quant) => f.write_str(quant.name()),
        }
    }
}
