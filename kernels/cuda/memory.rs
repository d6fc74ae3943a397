//! The memory pool of a card: kept between allocations, given back when a model goes, measured.
//!
//! Every tensor comes from the driver's own pool in the order of the stream. By default that pool
//! hands its free memory back whenever the stream is waited for, which happens once a step, and
//! the next step asks for all of it again; here it keeps what it has until it is trimmed.

use std::ffi::c_void;

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::result::{device, mem_get_info, mem_pool};
use candle_core::cuda_backend::cudarc::driver::sys::{CUmemPool_attribute, CUmemoryPool};
use candle_core::{CudaDevice, Result};

/// What tensors take of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUse {
    /// Bytes of the tensors that live.
    pub now: u64,
    /// Most bytes that they ever had, or since [`reset_peak`].
    pub peak: u64,
}

/// Makes the pool keep what it has, up to the whole card.
///
/// # Errors
/// When the card has no pool.
pub fn keep_memory(device: &CudaDevice) -> Result<()> {
    set(device, CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, u64::MAX)
}

/// Waits for the stream and gives the pool's unused memory back to the card.
///
/// # Errors
/// When work on the stream has failed.
pub fn trim(device: &CudaDevice) -> Result<()> {
    device.cuda_stream().synchronize().w()?;
    // SAFETY: the pool is the device's own; nothing is in use beyond what the pool knows of.
    unsafe { mem_pool::trim_to(pool(device)?, 0) }.w()
}

/// Free bytes of the card, once everything that the pool holds in reserve is given back.
///
/// # Errors
/// When work on the stream has failed.
pub fn free_bytes(device: &CudaDevice) -> Result<u64> {
    trim(device)?;
    let (free, _total) = mem_get_info().w()?;
    Ok(free as u64)
}

/// What tensors take now, and what they took at most.
///
/// # Errors
/// When the card has no pool.
pub fn pool_use(device: &CudaDevice) -> Result<PoolUse> {
    Ok(PoolUse {
        now: get(device, CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT)?,
        peak: get(device, CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH)?,
    })
}

/// Lets [`PoolUse::peak`] begin anew.
///
/// # Errors
/// When the card has no pool.
pub fn reset_peak(device: &CudaDevice) -> Result<()> {
    set(device, CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH, 0)
}

fn pool(device: &CudaDevice) -> Result<CUmemoryPool> {
    let stream = device.cuda_stream();
    stream.context().bind_to_thread().w()?;
    // SAFETY: the device is that of a context which lives.
    unsafe { device::get_default_mem_pool(stream.context().cu_device()) }.w()
}

fn get(device: &CudaDevice, attribute: CUmemPool_attribute) -> Result<u64> {
    let mut value = 0u64;
    // SAFETY: the attributes asked for here are 64-bit counts, and the pool is the device's own.
    unsafe { mem_pool::get_attribute(pool(device)?, attribute, (&raw mut value).cast::<c_void>()) }
        .w()?;
    Ok(value)
}

fn set(device: &CudaDevice, attribute: CUmemPool_attribute, mut value: u64) -> Result<()> {
    // SAFETY: as in `get`; the driver only reads the value.
    unsafe { mem_pool::set_attribute(pool(device)?, attribute, (&raw mut value).cast::<c_void>()) }
        .w()
}
