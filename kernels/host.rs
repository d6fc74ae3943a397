//! The door from candle tensors to plain slices, for the CPU paths and the references.
//!
//! Nothing here computes, and nothing copies: a [`HostF32`] borrows the tensor's own memory. The
//! shape checks have been done before (`shape.rs`); what is refused here is our own fault.

use std::ops::{Deref, Range};

use candle_core::{CpuStorage, Result, Storage, StorageRef, Tensor, bail};

/// The elements of a contiguous f32 tensor on the CPU, locked for reading while this lives.
pub(crate) struct HostF32<'a> {
    storage: StorageRef<'a>,
    range: Range<usize>,
}

impl<'a> HostF32<'a> {
    /// Borrows the elements of `tensor`.
    ///
    /// # Errors
    /// When the tensor is on another device, has another type or is not contiguous.
    pub(crate) fn of(tensor: &'a Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("{tensor:?} is not contiguous")
        };
        if !matches!(&*storage, Storage::Cpu(CpuStorage::F32(_))) {
            bail!("{tensor:?} is not f32 on the CPU")
        }
        Ok(Self { storage, range: start..end })
    }
}

impl Deref for HostF32<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(data)) => &data[self.range.clone()],
            Storage::Cpu(_) | Storage::Cuda(_) | Storage::Metal(_) => {
                unreachable!("HostF32::of has checked the storage")
            }
        }
    }
}
