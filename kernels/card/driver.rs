//! The driver's functions, as far as candle and stillroom call them. All work is done at once, in
//! the order of the calls; a launch that failed makes all that follows fail, as on a card.

use std::env;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::exports::exports;
use crate::fatbin;
use crate::fault::Fault;
use crate::memory;
use crate::ptx::{Function, Module};
use crate::run::{self, Ended, Launch};

/// Codes of the driver, after its manual.
pub(crate) const SUCCESS: c_int = 0;
pub(crate) const INVALID_VALUE: c_int = 1;
const OUT_OF_MEMORY: c_int = 2;
const INVALID_DEVICE: c_int = 101;
const INVALID_PTX: c_int = 218;
pub(crate) const NOT_FOUND: c_int = 500;
const LAUNCH_FAILED: c_int = 719;

/// Set by a launch that failed: nothing of a context works after that.
static BROKEN: AtomicBool = AtomicBool::new(false);

/// The attribute of a function that says how much dynamic shared memory it may have.
pub(crate) const MOST_DYNAMIC_SHARED: c_int = 8;
/// Most shared memory of a block.
const SHARED_BYTES_MAX: usize = 227 << 10;

/// Something to point at, for handles that stand for nothing else.
static HANDLE: u8 = 0;

fn handle() -> *mut c_void {
    (&raw const HANDLE).cast_mut().cast()
}

/// A kernel as a caller holds it.
pub(crate) struct Loaded {
    function: Arc<Function>,
    /// Dynamic shared memory that it was allowed.
    shared_bytes: AtomicUsize,
}

impl Loaded {
    /// The kernel of this name.
    pub(crate) fn of(module: &Mutex<Module>, name: &str) -> Result<Self, Fault> {
        let function = module.lock().expect("no holder panics").function(name)?;
        Ok(Self { function, shared_bytes: AtomicUsize::new(0) })
    }

    /// Allows it so much dynamic shared memory.
    pub(crate) fn allow(&self, n_bytes: c_int) -> c_int {
        if n_bytes < 0 || n_bytes as usize + self.function.n_shared_bytes > SHARED_BYTES_MAX {
            return INVALID_VALUE;
        }
        self.shared_bytes.store(n_bytes as usize, Ordering::Relaxed);
        SUCCESS
    }

    /// Runs it to its end.
    ///
    /// # Safety
    /// `params` must hold the address of each parameter of the kernel's signature.
    pub(crate) unsafe fn launch(
        &self,
        grid: [c_uint; 3],
        threads: [c_uint; 3],
        shared_bytes: usize,
        params: *const *const u8,
    ) -> c_int {
        let mut launch = Launch {
            grid,
            threads,
            shared_bytes,
            shared_bytes_allowed: self.shared_bytes.load(Ordering::Relaxed),
            params: vec![0; self.function.n_param_bytes],
        };
        for (at, &(offset, n_bytes)) in self.function.params.iter().enumerate() {
            let place = &mut launch.params[offset..offset + n_bytes];
            // SAFETY: the caller's.
            unsafe { (*params.add(at)).copy_to_nonoverlapping(place.as_mut_ptr(), n_bytes) };
        }
        unbroken(|| match run::launch(&self.function, &launch) {
            Ok(()) => SUCCESS,
            Err(Ended::Refused(fault)) => {
                tell(&fault);
                INVALID_VALUE
            }
            Err(Ended::Failed(fault)) => broken(&fault),
        })
    }
}

pub(crate) fn tell(fault: &Fault) {
    eprintln!("card: {fault}");
}

fn state() -> c_int {
    if BROKEN.load(Ordering::Relaxed) { LAUNCH_FAILED } else { SUCCESS }
}

/// Does what a function is for, unless an earlier launch has failed.
fn unbroken(work: impl FnOnce() -> c_int) -> c_int {
    match state() {
        SUCCESS => work(),
        broken => broken,
    }
}

/// A number of the environment.
fn setting(name: &str, otherwise: c_int) -> c_int {
    env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// Writes a result where the caller wants it.
///
/// # Safety
/// `to` must be valid for a write, as the driver's manual demands of its callers.
unsafe fn give<T>(to: *mut T, value: T) -> c_int {
    // SAFETY: the caller's.
    unsafe { to.write(value) };
    SUCCESS
}

exports! {
    cuInit(_flags: c_uint) { SUCCESS }
    cuDriverGetVersion(version: *mut c_int) {
        // SAFETY: the caller's pointer, by the manual.
        unsafe { give(version, 13_000) }
    }
    cuDeviceGetCount(count: *mut c_int) {
        // SAFETY: as above.
        unsafe { give(count, 1) }
    }
    cuDeviceGet(device: *mut c_int, ordinal: c_int) {
        if ordinal != 0 {
            return INVALID_DEVICE;
        }
        // SAFETY: as above.
        unsafe { give(device, 0) }
    }
    cuDeviceGetName(name: *mut c_char, len: c_int, _device: c_int) {
        let text = b"A card of software\0";
        let n_bytes = text.len().min(len as usize);
        // SAFETY: the caller has room for `len` bytes.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), name.cast(), n_bytes) };
        SUCCESS
    }
    cuDeviceTotalMem_v2(bytes: *mut usize, _device: c_int) {
        // SAFETY: as above.
        unsafe { give(bytes, memory::free_and_total().1 as usize) }
    }
    cuDeviceGetAttribute(value: *mut c_int, attribute: c_int, _device: c_int) {
        // SAFETY: as above.
        unsafe { give(value, attribute_of_card(attribute)) }
    }
    cuDevicePrimaryCtxRetain(context: *mut *mut c_void, _device: c_int) {
        // SAFETY: as above.
        unsafe { give(context, handle()) }
    }
    cuDevicePrimaryCtxRelease_v2(_device: c_int) { SUCCESS }
    cuCtxGetCurrent(context: *mut *mut c_void) {
        // SAFETY: as above.
        unsafe { give(context, handle()) }
    }
    cuCtxSetCurrent(_context: *mut c_void) { SUCCESS }
    cuCtxSynchronize() {
        memory::waited();
        state()
    }
    cuStreamCreate(stream: *mut *mut c_void, _flags: c_uint) {
        // SAFETY: as above.
        unsafe { give(stream, handle()) }
    }
    cuStreamDestroy_v2(_stream: *mut c_void) { SUCCESS }
    cuStreamSynchronize(_stream: *mut c_void) {
        memory::waited();
        state()
    }
    cuStreamWaitEvent(_stream: *mut c_void, _event: *mut c_void, _flags: c_uint) { SUCCESS }
    cuStreamIsCapturing(_stream: *mut c_void, status: *mut c_int) {
        // SAFETY: as above.
        unsafe { give(status, 0) }
    }
    cuEventCreate(event: *mut *mut c_void, _flags: c_uint) {
        // SAFETY: as above.
        unsafe { give(event, handle()) }
    }
    cuEventDestroy_v2(_event: *mut c_void) { SUCCESS }
    cuEventRecord(_event: *mut c_void, _stream: *mut c_void) { state() }
    cuEventSynchronize(_event: *mut c_void) { state() }
    cuEventQuery(_event: *mut c_void) { state() }

    cuMemAllocAsync(address: *mut u64, n_bytes: usize, _stream: *mut c_void) {
        unbroken(|| match memory::allocate(n_bytes) {
            // SAFETY: as above.
            Some(start) => unsafe { give(address, start as u64) },
            None => OUT_OF_MEMORY,
        })
    }
    cuMemAlloc_v2(address: *mut u64, n_bytes: usize) {
        // SAFETY: as above.
        unsafe { cuMemAllocAsync(address, n_bytes, handle()) }
    }
    cuMemFreeAsync(address: u64, _stream: *mut c_void) {
        if memory::free(address as usize) { SUCCESS } else { INVALID_VALUE }
    }
    cuMemFree_v2(address: u64) {
        // SAFETY: it takes no pointer.
        unsafe { cuMemFreeAsync(address, handle()) }
    }
    cuMemHostAlloc(address: *mut *mut c_void, n_bytes: usize, _flags: c_uint) {
        let bytes = vec![0u64; n_bytes.div_ceil(8) + 1];
        // SAFETY: as above. It is never given back: only parameters of an engine are held so.
        unsafe { give(address, Box::leak(bytes.into_boxed_slice()).as_mut_ptr().cast()) }
    }
    cuMemFreeHost(_address: *mut c_void) { SUCCESS }
    cuMemcpyHtoDAsync_v2(to: u64, from: *const u8, n_bytes: usize, _stream: *mut c_void) {
        // SAFETY: the caller's bytes.
        unsafe { copy(from, to as *mut u8, n_bytes, &[to]) }
    }
    cuMemcpyDtoHAsync_v2(to: *mut u8, from: u64, n_bytes: usize, _stream: *mut c_void) {
        if *memory::IS_IDLE {
            // Nothing was computed; what is fetched is zero, as all the card's results are.
            // SAFETY: the caller's bytes.
            unsafe { to.write_bytes(0, n_bytes) };
            return SUCCESS;
        }
        // SAFETY: the caller's bytes.
        unsafe { copy(from as *const u8, to, n_bytes, &[from]) }
    }
    cuMemcpyDtoDAsync_v2(to: u64, from: u64, n_bytes: usize, _stream: *mut c_void) {
        // SAFETY: both are checked.
        unsafe { copy(from as *const u8, to as *mut u8, n_bytes, &[from, to]) }
    }
    cuMemcpyHtoD_v2(to: u64, from: *const u8, n_bytes: usize) {
        // SAFETY: the caller's bytes.
        unsafe { cuMemcpyHtoDAsync_v2(to, from, n_bytes, handle()) }
    }
    cuMemcpyDtoH_v2(to: *mut u8, from: u64, n_bytes: usize) {
        // SAFETY: the caller's bytes.
        unsafe { cuMemcpyDtoHAsync_v2(to, from, n_bytes, handle()) }
    }
    cuMemsetD8Async(to: u64, byte: u8, n_bytes: usize, _stream: *mut c_void) {
        unbroken(|| match memory::expect(to as usize, n_bytes) {
            Ok(()) => {
                // SAFETY: the bytes belong to an allocation.
                unsafe { (to as *mut u8).write_bytes(byte, n_bytes) };
                SUCCESS
            }
            Err(fault) => broken(&fault.at("cuMemsetD8Async")),
        })
    }
    cuMemsetD8_v2(to: u64, byte: u8, n_bytes: usize) {
        // SAFETY: it takes no pointer of the host's.
        unsafe { cuMemsetD8Async(to, byte, n_bytes, handle()) }
    }
    cuMemGetInfo_v2(free: *mut usize, total: *mut usize) {
        let (n_free, n_total) = memory::free_and_total();
        // SAFETY: as above.
        unsafe {
            give(free, n_free as usize);
            give(total, n_total as usize)
        }
    }
    cuDeviceGetDefaultMemPool(pool: *mut *mut c_void, _device: c_int) {
        // SAFETY: as above.
        unsafe { give(pool, handle()) }
    }
    cuMemPoolSetAttribute(_pool: *mut c_void, attribute: c_int, value: *const u64) {
        // SAFETY: as above; those that are set here have 64 bits.
        let value = unsafe { value.read() };
        match attribute {
            4 => memory::set_pool(|pool| pool.threshold = value),
            8 => memory::set_pool(|pool| pool.peak = pool.now),
            _ => return INVALID_VALUE,
        }
        SUCCESS
    }
    cuMemPoolGetAttribute(_pool: *mut c_void, attribute: c_int, value: *mut u64) {
        let pool = memory::pool();
        let number = match attribute {
            4 => pool.threshold,
            5 => pool.reserved,
            7 => pool.now,
            8 => pool.peak,
            _ => return INVALID_VALUE,
        };
        // SAFETY: as above.
        unsafe { give(value, number) }
    }
    cuMemPoolTrimTo(_pool: *mut c_void, n_bytes: usize) {
        memory::set_pool(|pool| pool.reserved = pool.reserved.min(pool.now.max(n_bytes as u64)));
        SUCCESS
    }

    cuModuleLoadData(module: *mut *mut c_void, image: *const u8) {
        // SAFETY: the caller's image.
        let read = unsafe { fatbin::ptx(image) }.and_then(|text| Module::read(&text));
        match read {
            Ok(found) => {
                let found = Box::new(Mutex::new(found));
                // SAFETY: as above.
                unsafe { give(module, Box::into_raw(found).cast()) }
            }
            Err(fault) => {
                tell(&fault);
                INVALID_PTX
            }
        }
    }
    cuModuleUnload(_module: *mut c_void) { SUCCESS }
    cuModuleGetFunction(function: *mut *mut c_void, module: *mut c_void, name: *const c_char) {
        // SAFETY: a module of `cuModuleLoadData` that is never freed, and the caller's text.
        let (module, name) = unsafe { (&*module.cast::<Mutex<Module>>(), CStr::from_ptr(name)) };
        match Loaded::of(module, &name.to_string_lossy()) {
            // SAFETY: as above.
            Ok(loaded) => unsafe { give(function, Box::into_raw(Box::new(loaded)).cast()) },
            Err(fault) => {
                tell(&fault);
                NOT_FOUND
            }
        }
    }
    cuFuncSetAttribute(function: *mut c_void, attribute: c_int, value: c_int) {
        // SAFETY: a function of `cuModuleGetFunction`, which is never freed.
        let loaded = unsafe { &*function.cast::<Loaded>() };
        if attribute == MOST_DYNAMIC_SHARED { loaded.allow(value) } else { INVALID_VALUE }
    }
    cuLaunchKernel(
        function: *mut c_void, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint,
        block_x: c_uint, block_y: c_uint, block_z: c_uint,
        shared_bytes: c_uint, _stream: *mut c_void, params: *const *const u8, _extra: *mut c_void
    ) {
        // SAFETY: as above, and the caller's parameters.
        unsafe {
            let loaded = &*function.cast::<Loaded>();
            let (grid, threads) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
            loaded.launch(grid, threads, shared_bytes as usize, params)
        }
    }
    cuGetErrorName(error: c_int, text: *mut *const c_char) {
        // SAFETY: as above.
        unsafe { give(text, words(error).0.as_ptr()) }
    }
    cuGetErrorString(error: c_int, text: *mut *const c_char) {
        // SAFETY: as above.
        unsafe { give(text, words(error).1.as_ptr()) }
    }
}

/// A number of the card, by the driver's code for it, which is the runtime's too.
pub(crate) fn attribute_of_card(attribute: c_int) -> c_int {
    let capability = setting("CARD_CAPABILITY", 90);
    match attribute {
        // Threads of a block, and of a warp.
        1 => 1024,
        10 => 32,
        // Shared memory of a block, and by leave.
        8 => 48 << 10,
        97 => SHARED_BYTES_MAX as c_int,
        // Clocks of the card and of its memory in kHz, and the bits of the memory's bus.
        13 => 1_980_000,
        36 => 2_619_000,
        37 => 5120,
        16 => setting("CARD_MULTIPROCESSORS", 8),
        75 => capability / 10,
        76 => capability % 10,
        // Whether there are pools.
        115 => 1,
        _ => 0,
    }
}

/// Tells a fault after which nothing works.
fn broken(fault: &Fault) -> c_int {
    tell(fault);
    BROKEN.store(true, Ordering::Relaxed);
    LAUNCH_FAILED
}

/// Copies, once the places on the card are known to be allocated.
///
/// # Safety
/// Both ends must be valid for `n_bytes`, but for those that are checked here.
unsafe fn copy(from: *const u8, to: *mut u8, n_bytes: usize, on_card: &[u64]) -> c_int {
    unbroken(|| {
        for &address in on_card {
            if let Err(fault) = memory::expect(address as usize, n_bytes) {
                return broken(&fault.at("a copy"));
            }
        }
        // SAFETY: the caller's and what was just checked.
        unsafe { std::ptr::copy(from, to, n_bytes) };
        SUCCESS
    })
}

/// Name and meaning of a code.
fn words(error: c_int) -> (&'static CStr, &'static CStr) {
    match error {
        SUCCESS => (c"CUDA_SUCCESS", c"no error"),
        INVALID_VALUE => (c"CUDA_ERROR_INVALID_VALUE", c"invalid argument"),
        OUT_OF_MEMORY => (c"CUDA_ERROR_OUT_OF_MEMORY", c"out of memory"),
        INVALID_DEVICE => (c"CUDA_ERROR_INVALID_DEVICE", c"invalid device ordinal"),
        INVALID_PTX => (c"CUDA_ERROR_INVALID_PTX", c"the module cannot be read"),
        NOT_FOUND => (c"CUDA_ERROR_NOT_FOUND", c"named symbol not found"),
        LAUNCH_FAILED => (c"CUDA_ERROR_LAUNCH_FAILED", c"a launch has failed, see above"),
        _ => (c"CUDA_ERROR_UNKNOWN", c"unknown error"),
    }
}
