//! One launch of a device kernel, as plain data: what to run, on how many threads, with what.
//!
//! An op plans its launches here without a device (`<op>/launch.rs`): grids, shared memory and
//! arguments are then checked by tests that run the very same kernel sources on the CPU. The CUDA
//! door only carries a plan out. Must not know tensors; addresses are numbers.

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
