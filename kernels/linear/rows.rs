//! The rows of one checkpoint tensor, read in place in the type they are stored in.
//!
//! Packing and quantising both walk over rows and widen as they go, so that no f32 copy of a
//! whole tensor is ever made. Must not know what becomes of the rows.

use candle_core::{DType, Result, Storage, Tensor, bail};
use half::{bf16, f16};

/// Whole rows, one after the other.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
}

impl Rows<'_> {
    /// Calls `f` with the elements of `part` `[rows, k]`, f32, f16 or bf16, wherever it lies.
    pub(super) fn of<R>(part: &Tensor, f: impl FnOnce(Rows<'_>) -> R) -> Result<R> {
        let part = part.to_device(&candle_core::Device::Cpu)?.contiguous()?;
        let (storage, layout) = part.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { bail!("the tensor did not come to the CPU") };
        let range = layout.start_offset()..layout.start_offset() + layout.shape().elem_count();
        if part.dtype() == DType::F32 {
            Ok(f(Rows::F32(&storage.as_slice()?[range])))
        } else if part.dtype() == DType::F16 {
            Ok(f(Rows::F16(&storage.as_slice()?[range])))
        } else if part.dtype() == DType::BF16 {
            Ok(f(Rows::Bf16(&storage.as_slice()?[range])))
        } else {
            bail!("a weight is f32, f16 or bf16, not {:?}", part.dtype())
        }
    }

    /// Widens elements `from..from + out.len()` into `out`.
    pub(super) fn widen(&self, from: usize, out: &mut [f32]) {
        fn copy<T: Copy>(source: &[T], out: &mut [f32])
        where
            f32: From<T>,
        {
            for (out, &value) in out.iter_mut().zip(source) {
                *out = f32::from(value);
            }
        }
        let range = from..from + out.len();
        match self {
            Self::F32(values) => out.copy_from_slice(&values[range]),
            Self::F16(values) => copy(&values[range], out),
            Self::Bf16(values) => copy(&values[range], out),
        }
    }
}
