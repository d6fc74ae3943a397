//! How much of a device a loaded model may fill with keys and values.
//!
//! Where a device has memory of its own, what a step takes is measured with the largest step, and
//! KV memory gets what is then left, within the share that the plan allows. A step that leaves too
//! little is made smaller first: fewer rows cost some speed, too few blocks cost all of it. Must
//! not know a request.

use candle_core::Device;
use stillroom_kernels::fault;
use stillroom_models::{Decoder, Model, device, workspace_bytes};

use crate::engine::EngineLimits;
use crate::{Error, Result};

/// One part in this many of the measured step is left free beside it: other steps cut the same
/// memory into other pieces.
const SLACK_SHARE: u64 = 8;

/// One part in this many of what is free stays free for what comes later and was not measured:
/// code that a library loads with the first product of a shape, pieces between tensors.
const SPARE_SHARE: u64 = 32;

/// Most of that.
const SPARE_BYTES_MAX: u64 = 512 << 20;

/// What is asked of a device.
///
/// A trait, because tests have no device to fill.
pub(super) trait Room {
    /// Bytes that are free; `None` where memory is the machine's and the plan's share must do.
    fn free_bytes(&self) -> Option<u64>;

    /// Bytes that a step of so many rows takes at its peak.
    ///
    /// # Errors
    /// When the device fails, above all for want of memory.
    fn step_bytes(&self, limits: &EngineLimits) -> candle_core::Result<Option<u64>>;
}

/// A model and the device that it lies on.
pub(super) struct Placed<'a> {
    pub(super) model: &'a Decoder,
    pub(super) device: &'a Device,
}

impl Room for Placed<'_> {
    fn free_bytes(&self) -> Option<u64> {
        device::free_bytes(self.device)
    }

    fn step_bytes(&self, limits: &EngineLimits) -> candle_core::Result<Option<u64>> {
        workspace_bytes(self.model, limits.n_sequences_max, limits.n_step_tokens_max)
    }
}

/// The limits of an engine for a model that is loaded; `kv_bytes` is what the plan allows for keys
/// and values, `kv_bytes_min` what is worth a smaller step.
///
/// # Errors
/// When the device has no room for the smallest step and one block.
pub(super) fn limits(
    model: &Decoder,
    device: &Device,
    (kv_bytes_min, kv_bytes): (usize, usize),
) -> Result<EngineLimits> {
    let (shape, max_context) = (model.kv_shape(), model.max_context());
    if device.is_cpu() {
        return EngineLimits::for_cpu(&shape, max_context, kv_bytes);
    }
    let widest = EngineLimits::for_gpu(&shape, max_context, kv_bytes)?;
    let fitted = fitted(&Placed { model, device }, widest, kv_bytes_min.min(kv_bytes))?;
    let Some((n_step_tokens_max, room)) = fitted else { return Ok(widest) };
    let limits = EngineLimits::for_gpu(&shape, max_context, kv_bytes.min(room))?;
    Ok(EngineLimits { n_step_tokens_max, ..limits })
}

/// `wanted`, with no more KV memory than a device has room for beside its largest step. That is made
/// smaller before fewer than `n_blocks_min` are left.
///
/// # Errors
/// When the device has no room for one block, or fails.
pub fn affordable(
    model: &Decoder,
    device: &Device,
    wanted: EngineLimits,
    n_blocks_min: usize,
) -> Result<EngineLimits> {
    let block_bytes = model.kv_shape().block_bytes();
    let limits = afforded(&Placed { model, device }, wanted, n_blocks_min, block_bytes)?;
    if limits.n_blocks == 0 {
        let what = "the device has no room for keys and values".to_owned();
        return Err(Error::environment(what, "use a smaller or quantised model"));
    }
    Ok(limits)
}

fn afforded(
    room: &impl Room,
    wanted: EngineLimits,
    n_blocks_min: usize,
    block_bytes: usize,
) -> Result<EngineLimits> {
    let kv_bytes_min = n_blocks_min.min(wanted.n_blocks) * block_bytes;
    let Some((n_step_tokens_max, room)) = fitted(room, wanted, kv_bytes_min)? else {
        return Ok(wanted);
    };
    let n_blocks = wanted.n_blocks.min(room / block_bytes);
    Ok(EngineLimits { n_step_tokens_max, n_blocks, ..wanted })
}

/// Rows of a step and the bytes left for KV memory beside it; `None` where nothing can be asked.
fn fitted(
    room: &impl Room,
    mut limits: EngineLimits,
    kv_bytes_min: usize,
) -> Result<Option<(usize, usize)>> {
    loop {
        let left = match room.step_bytes(&limits) {
            Ok(None) => return Ok(None),
            Ok(Some(step)) => {
                let Some(free) = room.free_bytes() else { return Ok(None) };
                let spare = (free / SPARE_SHARE).min(SPARE_BYTES_MAX);
                free.saturating_sub(step + spare.max(step / SLACK_SHARE))
            }
            Err(error) if fault::is_out_of_memory(&error) => 0,
            Err(error) => {
                let hint = "the device failed while a step was measured: try `--device cpu`";
                return Err(Error::environment_from(error.to_string(), hint, error));
            }
        };
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        if left >= kv_bytes_min {
            return Ok(Some((limits.n_step_tokens_max, left)));
        }
        match limits.narrowed(limits.n_step_tokens_max) {
            Some(narrower) => limits = narrower,
            None => return Ok(Some((limits.n_step_tokens_max, left))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use candle_core::DType;
    use stillroom_kernels::paged::KvShape;

    use super::*;

    const SHAPE: KvShape = KvShape { n_layers: 2, n_kv_heads: 2, head_dim: 8, dtype: DType::F32 };
    const MIB: u64 = 1 << 20;

    /// A device whose steps take a mebibyte for each 64 rows.
    struct Fake {
        free: Option<u64>,
        n_asked: Cell<usize>,
    }

    impl Room for Fake {
        fn free_bytes(&self) -> Option<u64> {
            self.free
        }

        fn step_bytes(&self, limits: &EngineLimits) -> candle_core::Result<Option<u64>> {
            self.n_asked.set(self.n_asked.get() + 1);
            let step = limits.n_step_tokens_max as u64 / 64 * MIB;
            match self.free {
                Some(free) if step > free => {
                    Err(candle_core::Error::Cuda("CUDA_ERROR_OUT_OF_MEMORY".into()))
                }
                Some(_) => Ok(Some(step)),
                None => Ok(None),
            }
        }
    }

    /// Rows of a step, MiB left for KV, and how often a step was measured.
    fn check(free: Option<u64>, kv_min: u64, expect: Option<(usize, u64)>, n_asked: usize) {
        let room = Fake { free: free.map(|mib| mib * MIB), n_asked: Cell::new(0) };
        let widest = EngineLimits::for_gpu(&SHAPE, 4096, 1 << 30).unwrap();
        let found = fitted(&room, widest, (kv_min * MIB) as usize).unwrap();
        assert_eq!(found.map(|(rows, bytes)| (rows, bytes as u64 / MIB)), expect);
        assert_eq!(room.n_asked.get(), n_asked);
    }

    #[test]
    fn kv_memory_gets_what_a_measured_step_leaves() {
        // 8192 rows take 128 MiB, and 31 of the thousand are left beside them.
        check(Some(1000), 100, Some((8192, 840)), 1);
        check(None, 100, None, 1);
    }

    #[test]
    fn no_more_blocks_are_made_than_fit() {
        let wanted = EngineLimits::for_gpu(&SHAPE, 4096, 1 << 30).unwrap();
        let wanted = EngineLimits { n_blocks: 500, ..wanted };
        let blocks = |free: Option<u64>| {
            let room = Fake { free: free.map(|mib| mib * MIB), n_asked: Cell::new(0) };
            let limits = afforded(&room, wanted, 100, 1 << 20).unwrap();
            (limits.n_step_tokens_max, limits.n_blocks)
        };
        assert_eq!(blocks(None), (8192, 500));
        assert_eq!(blocks(Some(1000)), (8192, 500));
        assert_eq!(blocks(Some(400)), (8192, 256));
        assert_eq!(blocks(Some(200)), (4096, 128));
    }

    #[test]
    fn a_step_that_leaves_too_little_is_halved() {
        check(Some(200), 100, Some((4096, 128)), 2);
        check(Some(100), 60, Some((2048, 64)), 3);
        check(Some(3), 60, Some((256, 0)), 6);
    }
}
