//! CUDA's runtime library, as far as candle's quantised products call it: kernels that are linked
//! into the program and known by the addresses of their stubs there.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::{LazyLock, Mutex};

use crate::driver::{self, INVALID_VALUE, Loaded, MOST_DYNAMIC_SHARED, SUCCESS};
use crate::exports::exports;
use crate::fatbin;
use crate::fault::Fault;
use crate::ptx::Module;

/// What a compiler puts around a fatbin in a program.
#[repr(C)]
struct Wrapper {
    magic: c_int,
    version: c_int,
    image: *const u8,
}

/// Three numbers, as the runtime passes grids.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Dim3 {
    x: c_uint,
    y: c_uint,
    z: c_uint,
}

impl Dim3 {
    fn numbers(self) -> [c_uint; 3] {
        [self.x, self.y, self.z]
    }
}

/// A launch between its configuration and its call.
#[derive(Clone, Copy)]
struct Configured {
    grid: Dim3,
    threads: Dim3,
    shared_bytes: usize,
    stream: usize,
}

#[derive(Default)]
struct Program {
    /// Addresses of images, and their modules once they were wanted; a handle is one more than the
    /// place here.
    images: Vec<(usize, Option<&'static Mutex<Module>>)>,
    /// By the address of a stub: the place of the image and the name of the kernel.
    kernels: HashMap<usize, (usize, String)>,
    loaded: HashMap<usize, &'static Loaded>,
    configured: Vec<Configured>,
}

static PROGRAM: LazyLock<Mutex<Program>> = LazyLock::new(Mutex::default);

impl Program {
    /// The kernel behind a stub, loaded at its first use for as long as the program runs.
    fn kernel(&mut self, stub: usize) -> Result<&'static Loaded, Fault> {
        if let Some(loaded) = self.loaded.get(&stub) {
            return Ok(loaded);
        }
        let kernel = self.kernels.get(&stub);
        let (image, name) = kernel.ok_or_else(|| Fault::new("a kernel that nobody registered"))?;
        let (address, module) = &mut self.images[*image];
        let module: &Mutex<Module> = match module {
            Some(module) => module,
            None => {
                // SAFETY: the program registered it.
                let text = unsafe { fatbin::ptx(*address as *const u8) }?;
                module.insert(Box::leak(Box::new(Mutex::new(Module::read(&text)?))))
            }
        };
        let loaded: &Loaded = Box::leak(Box::new(Loaded::of(module, name)?));
        self.loaded.insert(stub, loaded);
        Ok(loaded)
    }
}

fn program<T>(with: impl FnOnce(&mut Program) -> T) -> T {
    with(&mut PROGRAM.lock().expect("no holder panics"))
}

/// Does something with the kernel behind a stub.
fn with_kernel(stub: *const c_void, with: impl FnOnce(&Loaded) -> c_int) -> c_int {
    match program(|program| program.kernel(stub as usize)) {
        Ok(loaded) => with(loaded),
        Err(fault) => {
            driver::tell(&fault);
            driver::NOT_FOUND
        }
    }
}

/// Takes a fatbin when the program starts.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the library's own name")]
unsafe extern "C" fn __cudaRegisterFatBinary(wrapper: *const Wrapper) -> *mut c_void {
    // SAFETY: the compiler's own code calls it.
    let image = unsafe { (*wrapper).image } as usize;
    program(|program| {
        program.images.push((image, None));
        std::ptr::without_provenance_mut(program.images.len())
    })
}

exports! {
    __cudaRegisterFatBinaryEnd(_handle: *mut c_void) { SUCCESS }
    __cudaUnregisterFatBinary(_handle: *mut c_void) { SUCCESS }
    __cudaRegisterVar(_handle: *mut c_void) { SUCCESS }
    __cudaRegisterFunction(
        handle: *mut c_void, stub: *const c_void, _device: *const c_char, name: *const c_char,
    ) {
        // SAFETY: the compiler's own code calls it.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
        program(|program| program.kernels.insert(stub as usize, (handle as usize - 1, name)));
        SUCCESS
    }
    __cudaGetKernel(kernel: *mut *const c_void, stub: *const c_void) {
        // SAFETY: the caller's pointer.
        unsafe { kernel.write(stub) };
        SUCCESS
    }
    __cudaPushCallConfiguration(
        grid: Dim3, threads: Dim3, shared_bytes: usize, stream: *mut c_void,
    ) {
        let configured = Configured { grid, threads, shared_bytes, stream: stream as usize };
        program(|program| program.configured.push(configured));
        SUCCESS
    }
    __cudaPopCallConfiguration(
        grid: *mut Dim3, threads: *mut Dim3, shared_bytes: *mut usize, stream: *mut usize,
    ) {
        let Some(configured) = program(|program| program.configured.pop()) else {
            return INVALID_VALUE;
        };
        // SAFETY: the caller's pointers.
        unsafe {
            grid.write(configured.grid);
            threads.write(configured.threads);
            shared_bytes.write(configured.shared_bytes);
            stream.write(configured.stream);
        }
        SUCCESS
    }
    __cudaLaunchKernel_ptsz(
        stub: *const c_void, grid: Dim3, threads: Dim3, params: *const *const u8,
        shared_bytes: usize, _stream: *mut c_void,
    ) {
        // SAFETY: the compiler's own code passes the parameters.
        with_kernel(stub, |loaded| unsafe {
            loaded.launch(grid.numbers(), threads.numbers(), shared_bytes, params)
        })
    }
    cudaFuncSetAttribute(stub: *const c_void, attribute: c_int, value: c_int) {
        if attribute != MOST_DYNAMIC_SHARED {
            return INVALID_VALUE;
        }
        with_kernel(stub, |loaded| loaded.allow(value))
    }
    cudaGetDevice(device: *mut c_int) {
        // SAFETY: the caller's pointer.
        unsafe { device.write(0) };
        SUCCESS
    }
    cudaDeviceGetAttribute(value: *mut c_int, attribute: c_int, _device: c_int) {
        // SAFETY: the caller's pointer.
        unsafe { value.write(driver::attribute_of_card(attribute)) };
        SUCCESS
    }
    cudaGetLastError() { SUCCESS }
    cudaPeekAtLastError() { SUCCESS }
}
