//! The device that is none: an op's `kernel.cu` compiled by the machine's C++ compiler and the shim,
//! loaded, and given memory between guard pages.
//!
//! A library is compiled when its sources have changed and kept under a hash of them. Its state is
//! one block's, so that launches of one library take turns.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};

use half::{bf16, f16};
use libloading::{Library, Symbol};
use stillroom_kernels::launch::{Arg, Float, Launch};

/// What the entry of a kernel takes beside the arguments; twin of `emulated::Options`.
#[repr(C)]
struct Options {
    grid: [c_uint; 3],
    n_threads: c_uint,
    shared_bytes: c_uint,
    backwards: c_uint,
    removed: c_int,
}

type Entry = unsafe extern "C" fn(*const Options, *mut *mut c_void, c_uint) -> *const c_char;

/// Places of one source file that a mutation may remove; `N_PLACES_MAX` of the shim.
const N_PLACES_MAX: u32 = 256;

/// A device that knows the kernels of one op and owns the buffers of one case.
pub(crate) struct Device {
    loaded: Arc<Mutex<Library>>,
    buffers: RefCell<Vec<Buffer>>,
    /// The barriers and waits that launches have come by.
    visited: RefCell<BTreeSet<u32>>,
    /// Barrier or wait that launches leave out.
    pub(crate) removed: Option<u32>,
    /// Whether blocks, warps and lanes run in reverse.
    pub(crate) backwards: bool,
}

/// Memory of a [`Device`], which frees it at its own end.
#[derive(Clone, Copy)]
pub(crate) struct Buffer {
    start: *mut u8,
    n_bytes: usize,
}

impl Device {
    /// The device for the kernels of `op`.
    pub(crate) fn of(op: &'static str) -> Self {
        Self {
            loaded: library(op),
            buffers: RefCell::default(),
            visited: RefCell::default(),
            removed: None,
            backwards: false,
        }
    }

    /// Carries out a launch; an error tells what the kernel did wrong.
    pub(crate) fn run(&self, launch: &Launch) -> Result<(), String> {
        let library = self.loaded.lock().unwrap();
        let options = Options {
            grid: launch.grid,
            n_threads: launch.n_threads,
            shared_bytes: launch.shared_bytes,
            backwards: c_uint::from(self.backwards),
            removed: self.removed.map_or(-1, |number| number as c_int),
        };
        let mut args: Vec<u64> = launch.args.iter().map(|&arg| raw(arg)).collect();
        let mut pointers: Vec<*mut c_void> =
            args.iter_mut().map(|arg| std::ptr::from_mut(arg).cast()).collect();
        let name = format!("emulated_{}", launch.kernel);
        // SAFETY: the macro `ENTRY` defines all symbols of this name with this signature.
        let entry: Symbol<'_, Entry> = unsafe { library.get(&name) }.map_err(|e| e.to_string())?;
        // SAFETY: options and arguments outlive the call, which checks their number. What a kernel
        // makes of its addresses is what is under test; memory lies between guard pages.
        let failure = unsafe { entry(&options, pointers.as_mut_ptr(), args.len() as c_uint) };
        // SAFETY: the signature is that of the shim.
        let visited: Symbol<'_, unsafe extern "C" fn(c_uint) -> c_int> =
            unsafe { library.get("emulated_visited") }.unwrap();
        // SAFETY: any number may be asked for.
        let visited = (0..N_PLACES_MAX).filter(|&number| unsafe { visited(number) } != 0);
        self.visited.borrow_mut().extend(visited);
        if !failure.is_null() {
            // SAFETY: a report is text with an end, and stays until the next launch.
            return Err(unsafe { CStr::from_ptr(failure) }.to_string_lossy().into_owned());
        }
        for buffer in self.buffers.borrow().iter() {
            // SAFETY: the signature is that of the shim; the buffer lives.
            let intact = unsafe {
                let f: Symbol<'_, unsafe extern "C" fn(*const u8, usize) -> c_int> =
                    library.get("emulated_is_intact").unwrap();
                f(buffer.start, buffer.n_bytes)
            };
            if intact == 0 {
                return Err(format!("{} writes beside a buffer", launch.kernel));
            }
        }
        Ok(())
    }

    /// Takes note of the barriers and waits that another device came by.
    pub(crate) fn note_places(&self, other: &Self) {
        self.visited.borrow_mut().extend(other.visited.borrow().iter());
    }

    /// `n_bytes` of memory that reads as NaN.
    pub(crate) fn blank(&self, n_bytes: usize) -> Buffer {
        let library = self.loaded.lock().unwrap();
        // SAFETY: the signature is that of the shim.
        let allocate: Symbol<'_, unsafe extern "C" fn(usize) -> *mut u8> =
            unsafe { library.get("emulated_allocate") }.unwrap();
        // SAFETY: any size may be asked for.
        let buffer = Buffer { start: unsafe { allocate(n_bytes) }, n_bytes };
        assert!(!buffer.start.is_null(), "no memory");
        self.buffers.borrow_mut().push(buffer);
        buffer
    }

    /// A buffer of these bytes.
    pub(crate) fn put_bytes(&self, bytes: &[u8]) -> Buffer {
        let buffer = self.blank(bytes.len());
        // SAFETY: the buffer was just made for as many bytes.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.start, bytes.len()) };
        buffer
    }

    /// `numbers` rounded to `float`.
    pub(crate) fn put(&self, numbers: &[f32], float: Float) -> Buffer {
        let each = |to_bytes: fn(f32) -> Vec<u8>| -> Vec<u8> {
            numbers.iter().flat_map(|&x| to_bytes(x)).collect()
        };
        self.put_bytes(&match float {
            Float::F32 => each(|x| x.to_le_bytes().to_vec()),
            Float::F16 => each(|x| f16::from_f32(x).to_le_bytes().to_vec()),
            Float::Bf16 => each(|x| bf16::from_f32(x).to_le_bytes().to_vec()),
        })
    }

    /// Indices.
    pub(crate) fn put_u32(&self, indices: &[u32]) -> Buffer {
        self.put_bytes(&indices.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>())
    }

    /// Addresses or keys.
    pub(crate) fn put_u64(&self, words: &[u64]) -> Buffer {
        self.put_bytes(&words.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let Ok(library) = self.loaded.lock() else { return };
        // SAFETY: the signature is that of the shim.
        let release: Result<Symbol<'_, unsafe extern "C" fn(*mut u8, usize)>, _> =
            unsafe { library.get("emulated_release") };
        let Ok(release) = release else { return };
        for buffer in self.buffers.borrow().iter() {
            // SAFETY: each buffer was allocated with this size, and handles end with the device.
            unsafe { release(buffer.start, buffer.n_bytes) };
        }
    }
}

impl Buffer {
    /// Where it begins, as a kernel takes it.
    pub(crate) fn address(self) -> u64 {
        self.start as u64
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the buffer has as many bytes, and no kernel runs while a test reads.
        unsafe { std::slice::from_raw_parts(self.start, self.n_bytes) }
    }

    /// Its numbers.
    pub(crate) fn read(self, float: Float) -> Vec<f32> {
        let pairs = || self.bytes().chunks_exact(2).map(|x| u16::from_le_bytes([x[0], x[1]]));
        match float {
            Float::F32 => self.read_u32().into_iter().map(f32::from_bits).collect(),
            Float::F16 => pairs().map(|x| f16::from_bits(x).to_f32()).collect(),
            Float::Bf16 => pairs().map(|x| bf16::from_bits(x).to_f32()).collect(),
        }
    }

    /// Its indices.
    pub(crate) fn read_u32(self) -> Vec<u32> {
        let words = self.bytes().chunks_exact(4);
        words.map(|x| u32::from_le_bytes([x[0], x[1], x[2], x[3]])).collect()
    }
}

fn raw(arg: Arg) -> u64 {
    match arg {
        Arg::Pointer(x) | Arg::U64(x) => x,
        Arg::U32(x) => u64::from(x),
        Arg::F32(x) => u64::from(x.to_bits()),
    }
}

/// Runs `case` as it is, which must succeed, and then without each of the barriers and waits that
/// it came by, of which each must be missed: one that is not is either not needed or not tested.
pub(crate) fn expect_all_missed(op: &'static str, case: impl Fn(&Device) -> Result<(), String>) {
    let mut device = Device::of(op);
    for backwards in [false, true] {
        device.backwards = backwards;
        case(&device).unwrap();
    }
    let places = device.visited.borrow();
    assert!(!places.is_empty(), "{op} has no barrier to remove");
    for &number in places.iter() {
        let is_missed = [false, true].into_iter().any(|backwards| {
            let mut device = Device::of(op);
            (device.removed, device.backwards) = (Some(number), backwards);
            case(&device).is_err()
        });
        assert!(is_missed, "{op}: nobody misses barrier or wait {number}");
    }
}

/// The library of `op`, compiled and loaded once a process.
fn library(op: &'static str) -> Arc<Mutex<Library>> {
    type Loaded = HashMap<&'static str, Arc<Mutex<Library>>>;
    static LOADED: LazyLock<Mutex<Loaded>> = LazyLock::new(Mutex::default);
    // Held while compiling too, so that a library is compiled once.
    let mut loaded = LOADED.lock().unwrap();
    loaded
        .entry(op)
        .or_insert_with(|| {
            let path = compile(op);
            // SAFETY: the library was just compiled from our sources and has no initialisers.
            Arc::new(Mutex::new(unsafe { Library::new(path) }.unwrap()))
        })
        .clone()
}

fn compile(op: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shim = root.join("tests/emulated/shim");
    let source = root.join(op).join("kernel.cu");
    let mut sources = Vec::new();
    for folder in [&root.join(op), &root.join("device"), &shim] {
        sources.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    sources.retain(|path| path.extension().is_some_and(|extension| extension != "rs"));
    sources.sort();
    // Without unique symbols, for each library has a state of its own.
    let flags = "-std=c++17 -O2 -fPIC -shared -Wall -Wextra -Werror -Wno-unknown-pragmas \
                 -fno-strict-aliasing -fno-gnu-unique -U_FORTIFY_SOURCE -x c++";
    let mut hasher = DefaultHasher::new();
    flags.hash(&mut hasher);
    for source in &sources {
        fs::read(source).unwrap().hash(&mut hasher);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let name = op.replace('/', "-");
    let target = folder.join(format!("{name}-{:016x}.so", hasher.finish()));
    if !target.exists() {
        let fresh = folder.join(format!("{name}-{}.so", std::process::id()));
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
        let mut command = Command::new(&compiler);
        command.args(flags.split_whitespace()).arg(source).arg("-I").arg(shim);
        let output = command.arg("-o").arg(&fresh).output();
        let output = output.unwrap_or_else(|error| panic!("these tests need {compiler}: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Renamed whole, so that another process never loads half a library.
        fs::rename(fresh, &target).unwrap();
    }
    target
}
