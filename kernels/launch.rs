//! One launch of a device kernel, as plain data: what to run, on how many threads, with what.
//!
//! An op plans its launches here without a device (`<op>/launch.rs`): grids, shared memory and
//! arguments are then checked by tests that run the very same kernel sources on the CPU. The CUDA
//! door only carries a plan out. Must not know tensors; addresses are numbers.

use std::fmt;

/// An argument of a kernel, in the order of its signature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arg {
    /// An address in the memory of the device.
    Pointer(u64),
    /// `unsigned int`.
    U32(u32),
    /// `unsigned long long`.
    U64(u64),
    /// `float`.
    F32(f32),
}

/// A kernel with its grid and its arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// Folder of the op whose `kernel.cu` holds the kernel.
    pub op: &'static str,
    /// Name of the `extern "C"` function.
    pub kernel: String,
    /// Blocks in x, y and z.
    pub grid: [u32; 3],
    /// Threads of one block.
    pub n_threads: u32,
    /// Dynamic shared memory of one block.
    pub shared_bytes: u32,
    /// The arguments.
    pub args: Vec<Arg>,
}

/// The element types that kernels are compiled for; `Display` gives the end of a kernel's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Float {
    /// 32 bits, for parity.
    F32,
    /// IEEE half.
    F16,
    /// Brain half.
    Bf16,
}

/// Bytes that a thread moves at once where layout and addresses allow it.
const PACK_BYTES: usize = 16;

/// Threads of a warp.
pub const WARP: usize = 32;

impl Float {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Elements that make a pack of 16 bytes.
    pub fn pack(self) -> usize {
        PACK_BYTES / self.size()
    }

    /// The end of a kernel's name when its threads move packs, if runs of `len` elements and these
    /// addresses allow it; else that of the kernel which moves single elements. The second number
    /// is how many elements a thread moves.
    pub(crate) fn packed(self, len: usize, addresses: &[u64]) -> (String, usize) {
        let aligned = addresses.iter().all(|address| address.is_multiple_of(PACK_BYTES as u64));
        if aligned && len.is_multiple_of(self.pack()) {
            (self.to_string(), self.pack())
        } else {
            (format!("{self}_single"), 1)
        }
    }
}

impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

/// Threads for `n_units` units of work: whole warps, at most `n_threads_max`.
pub(crate) fn threads_for(n_units: usize, n_threads_max: usize) -> u32 {
    dim(n_units.next_multiple_of(WARP).clamp(WARP, n_threads_max))
}

/// A count as kernels take it.
///
/// # Panics
/// When it does not fit 32 bits, which no shape of a model reaches.
pub(crate) fn dim(count: usize) -> u32 {
    u32::try_from(count).expect("a dimension has 32 bits")
}

/// [`dim()`] as an argument.
pub(crate) fn arg(count: usize) -> Arg {
    Arg::U32(dim(count))
}
