//! The door to CUDA: opens a device, carries out planned launches, and gives addresses of tensors.
//!
//! One stream per device, on which candle's ops and our kernels follow one another, so that no
//! launch waits for another by any other means and freed memory is only used again behind its
//! last reader. Must not know what a kernel computes: the plans say it (`<op>/launch.rs`).

mod memory;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::driver::result::memcpy_htod_async;
use candle_core::cuda_backend::cudarc::driver::sys::{
    CUfunction_attribute, CUresult, cuDriverGetVersion,
};
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaModule, CudaSlice, CudaStream, DevicePtr, DriverError, LaunchConfig,
    PushKernelArg,
};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;
use candle_core::cuda_backend::{CudaStorageSlice, WrapErr};
use candle_core::{CudaDevice, DType, Device, Result, Shape, Storage, Tensor, bail};

use crate::arch::{self, Capability};
use crate::launch::{Arg, Float, Launch};

pub use memory::{PoolUse, free_bytes, keep_memory, pool_use, reset_peak, trim};

/// Each op's kernels for several generations of cards, as nvcc made them.
static FATBINS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/fatbins.rs"));

/// Opens card `ordinal` with a stream of its own, so that the engine may move between threads.
///
/// # Errors
/// When a library of CUDA is absent, the driver is too old, there is no such card, or the binary holds
/// no code for it.
pub fn open(ordinal: usize) -> Result<Device> {
    expect_driver()?;
    let device = CudaDevice::new_with_stream(ordinal)?;
    expect_code_for(&device)?;
    // SAFETY: events order streams among each other. All work on tensors of this device goes to
    // the one stream that it was opened with, and no tensor exists yet that was made with events.
    unsafe { device.disable_event_tracking() };
    keep_memory(&device)?;
    Ok(Device::Cuda(device))
}

/// Fails when the driver is older than the compiler of the kernels: it would refuse their PTX one by
/// one, and candle's quantised products would leave their results unwritten without a word.
fn expect_driver() -> Result<()> {
    let mut known = 0;
    // SAFETY: the driver writes one number to the address.
    let code = unsafe { cuDriverGetVersion(&raw mut known) };
    let built: i32 = env!("STILLROOM_CUDA_VERSION").parse().unwrap_or_default();
    // Where there is no driver, opening the device says it better.
    if code == CUresult::CUDA_SUCCESS && known < built {
        let words = |version: i32| format!("{}.{}", version / 1000, version % 1000 / 10);
        bail!(
            "the driver is too old: it knows CUDA {}, this binary was built with {}; install a newer \
             driver, or build with an older CUDA",
            words(known),
            words(built)
        )
    }
    Ok(())
}

/// Fails when candle's or our own part of the binary was built for other cards.
fn expect_code_for(device: &CudaDevice) -> Result<()> {
    let (major, minor) = device.cuda_stream().context().compute_capability().w()?;
    let number = |n: i32| u32::try_from(n).unwrap_or_default();
    let card = Capability { major: number(major), minor: number(minor) };
    let parts = [
        ("its kernels", env!("STILLROOM_OWN_CODE"), "STILLROOM_CUDA_ARCHS"),
        ("candle's kernels", env!("STILLROOM_CANDLE_CODE"), "CUDA_COMPUTE_CAP"),
    ];
    for (part, codes, variable) in parts {
        if !arch::runs_on(codes, card) {
            let name = device.cuda_stream().context().name().unwrap_or_default();
            bail!(
                "this binary was built for other cards: {part} for {codes}, the card ({name}) has \
                 {card}; build with {variable}={}{}, or with kernels/toolchain for several cards",
                card.major,
                card.minor
            )
        }
    }
    Ok(())
}

/// What a launch needs to know of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Card {
    /// Blocks that run at the same time are counted in these.
    pub(crate) n_multiprocessors: usize,
    /// Most shared memory of one block.
    pub(crate) shared_bytes_max: usize,
}

/// The kernels of one card that were used, loaded.
struct Loaded {
    card: Card,
    ops: HashMap<&'static str, Op>,
}

/// One op's fatbin on one card.
struct Op {
    module: Arc<CudaModule>,
    kernels: HashMap<String, Kernel>,
}

/// A function and the shared memory that it was allowed so far.
struct Kernel {
    function: CudaFunction,
    shared_bytes: u32,
}

/// By ordinal: every handle of a card shares its primary context, in which modules live. A map of
/// the process and not of a device, because candle's device has no room for it.
static LOADED: Mutex<Option<HashMap<usize, Loaded>>> = Mutex::new(None);

/// Runs `with` on what is loaded for the card of this stream.
fn with_loaded<T>(stream: &CudaStream, with: impl FnOnce(&mut Loaded) -> Result<T>) -> Result<T> {
    // A panic while it was held has left a whole map: entries are added, never changed in halves.
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    match loaded.get_or_insert_default().entry(stream.context().ordinal()) {
        Entry::Occupied(entry) => with(entry.into_mut()),
        Entry::Vacant(entry) => {
            with(entry.insert(Loaded { card: card(stream)?, ops: HashMap::new() }))
        }
    }
}

fn card(stream: &CudaStream) -> Result<Card> {
    use candle_core::cuda_backend::cudarc::driver::sys::CUdevice_attribute as Attribute;
    let number = |attribute| {
        let number = stream.context().attribute(attribute).w()?;
        Ok::<_, candle_core::Error>(usize::try_from(number).unwrap_or_default())
    };
    Ok(Card {
        n_multiprocessors: number(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        shared_bytes_max: number(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
    })
}

/// The card that `device` is.
pub(crate) fn card_of(device: &CudaDevice) -> Result<Card> {
    with_loaded(&device.cuda_stream(), |loaded| Ok(loaded.card))
}

/// Puts a launch at the end of the device's stream. Its errors of execution come with a later
/// call, as with any work on a stream.
///
/// # Errors
/// When the kernel is not in the binary, cannot be loaded, or its grid is refused.
///
/// # Safety
/// The arguments must be those of the kernel's signature, and its addresses those of live memory
/// on this device, as large as the plan's shapes say.
pub(crate) unsafe fn launch(device: &CudaDevice, launch: &Launch) -> Result<()> {
    if launch.grid.contains(&0) {
        return Ok(());
    }
    let stream = device.cuda_stream();
    let function = with_loaded(&stream, |loaded| loaded.function(&stream, launch))?;
    let mut builder = stream.launch_builder(&function);
    for arg in &launch.args {
        match arg {
            Arg::Pointer(address) => builder.arg(address),
            Arg::U32(number) => builder.arg(number),
            Arg::U64(number) => builder.arg(number),
            Arg::F32(number) => builder.arg(number),
        };
    }
    let [x, y, z] = launch.grid;
    let config = LaunchConfig {
        grid_dim: (x, y, z),
        block_dim: (launch.n_threads, 1, 1),
        shared_mem_bytes: launch.shared_bytes,
    };
    // SAFETY: the caller vouches for the arguments.
    unsafe { builder.launch(config) }.map_err(|error| failed(launch, error))?;
    Ok(())
}

fn failed(launch: &Launch, error: DriverError) -> candle_core::Error {
    let Launch { op, kernel, grid, n_threads, shared_bytes, .. } = launch;
    candle_core::Error::Msg(format!(
        "{op}: {kernel} on {grid:?} blocks of {n_threads} threads and {shared_bytes} bytes: {error}"
    ))
}

impl Loaded {
    /// The function of a launch, allowed the shared memory that it wants.
    fn function(&mut self, stream: &CudaStream, launch: &Launch) -> Result<CudaFunction> {
        let op = match self.ops.entry(launch.op) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let Some((_, fatbin)) = FATBINS.iter().find(|(op, _)| *op == launch.op) else {
                    bail!("{} has no kernels in this binary", launch.op)
                };
                let module = stream.context().load_module(Ptx::from_binary(fatbin.to_vec()));
                let module = module.map_err(|error| failed(launch, error))?;
                entry.insert(Op { module, kernels: HashMap::new() })
            }
        };
        if !op.kernels.contains_key(&launch.kernel) {
            let function = op.module.load_function(&launch.kernel);
            let function = function.map_err(|error| failed(launch, error))?;
            op.kernels.insert(launch.kernel.clone(), Kernel { function, shared_bytes: 0 });
        }
        let kernel = op.kernels.get_mut(&launch.kernel).expect("it was just loaded");
        if launch.shared_bytes > kernel.shared_bytes {
            // Above 48 KiB, what a kernel declares itself among it, it must be asked for.
            let bytes = i32::try_from(launch.shared_bytes).unwrap_or(i32::MAX);
            let most = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            kernel.function.set_attribute(most, bytes).map_err(|error| failed(launch, error))?;
            kernel.shared_bytes = launch.shared_bytes;
        }
        Ok(kernel.function.clone())
    }
}

/// Writes `words` to the beginning of `place`, which is made, or made anew at twice the length,
/// when it is too short; the tensor that holds them.
///
/// # Errors
/// When the device has not enough memory.
pub(crate) fn refill<'a>(
    place: &'a mut Option<Tensor>,
    words: &[u32],
    device: &Device,
) -> Result<&'a Tensor> {
    if place.as_ref().is_none_or(|place| place.elem_count() < words.len()) {
        let n_words = (2 * words.len()).next_power_of_two();
        *place = Some(unwritten_as(n_words, DType::U32, device)?);
    }
    let place = place.as_ref().expect("it was just made");
    let stream = device.as_cuda_device()?.cuda_stream();
    stream.context().bind_to_thread().w()?;
    // SAFETY: the tensor has room for the words. The stream copies behind all that reads what was
    // there before, and memory that is not pinned has been read when the call returns.
    unsafe { memcpy_htod_async(address(place)?, words, stream.cu_stream()) }.w()?;
    Ok(place)
}

/// The CUDA device that a tensor lies on.
///
/// # Errors
/// When it lies elsewhere.
pub(crate) fn device_of(tensor: &Tensor) -> Result<&CudaDevice> {
    tensor.device().as_cuda_device()
}

/// The element type as kernels know it.
///
/// # Errors
/// When it is none that kernels are compiled for.
pub(crate) fn expect_float(tensor: &Tensor) -> Result<Float> {
    let known = [(DType::F32, Float::F32), (DType::F16, Float::F16), (DType::BF16, Float::Bf16)];
    let Some((_, float)) = known.into_iter().find(|(dtype, _)| *dtype == tensor.dtype()) else {
        bail!("no kernel takes {:?}, wanted F32, F16 or BF16", tensor.dtype())
    };
    Ok(float)
}

/// Address of a tensor's first element. It is good for launches on the tensor's own stream as
/// long as the tensor lives: memory is given back in the order of that stream.
///
/// # Errors
/// When the tensor is not on a CUDA device, not contiguous, or of a type that no kernel takes.
pub(crate) fn address(tensor: &Tensor) -> Result<u64> {
    let (storage, layout) = tensor.storage_and_layout();
    let Some((start, _)) = layout.contiguous_offsets() else {
        bail!("{tensor:?} is not contiguous")
    };
    let Storage::Cuda(storage) = &*storage else { bail!("{tensor:?} is not on a CUDA device") };
    let stream = storage.device.cuda_stream();
    match &storage.slice {
        CudaStorageSlice::U8(slice) => Ok(offset(slice, start, &stream)),
        CudaStorageSlice::U32(slice) => Ok(offset(slice, start, &stream)),
        CudaStorageSlice::F16(slice) => Ok(offset(slice, start, &stream)),
        CudaStorageSlice::BF16(slice) => Ok(offset(slice, start, &stream)),
        CudaStorageSlice::F32(slice) => Ok(offset(slice, start, &stream)),
        CudaStorageSlice::I16(_)
        | CudaStorageSlice::I32(_)
        | CudaStorageSlice::I64(_)
        | CudaStorageSlice::F64(_)
        | CudaStorageSlice::F8E4M3(_)
        | CudaStorageSlice::F6E2M3(_)
        | CudaStorageSlice::F6E3M2(_)
        | CudaStorageSlice::F4(_)
        | CudaStorageSlice::F8E8M0(_) => bail!("{tensor:?} has a type that no kernel takes"),
    }
}

fn offset<T>(slice: &CudaSlice<T>, start: usize, stream: &CudaStream) -> u64 {
    let (address, _) = slice.device_ptr(stream);
    address + (start * size_of::<T>()) as u64
}

/// A tensor for a kernel to fill, without writing zeros into it first.
///
/// # Errors
/// When the device has not enough memory.
pub(crate) fn unwritten(shape: impl Into<Shape>, like: &Tensor) -> Result<Tensor> {
    unwritten_as(shape, like.dtype(), like.device())
}

/// [`unwritten()`] of any type.
///
/// # Errors
/// When the device has not enough memory.
pub(crate) fn unwritten_as(
    shape: impl Into<Shape>,
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    // SAFETY: numbers of any bits are numbers; the op that asks hands the tensor on only after it
    // has launched the kernel that writes all of it.
    unsafe { Tensor::empty(shape, dtype, device) }
}
