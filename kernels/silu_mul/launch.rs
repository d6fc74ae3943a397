//! The launch of `silu_mul`: a thread for each pack of the result.

use crate::launch::{Arg, Float, Launch, arg, dim, threads_for};

/// Most threads of a block.
const N_THREADS_MAX: usize = 256;

/// Sizes of one call, in the dims alphabet.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Type of both tensors.
    pub float: Float,
    /// Rows.
    pub t: usize,
    /// Columns of the result.
    pub i: usize,
}

/// From `gate_up` (`[t, 2i]`) to `y` (`[t, i]`), both addresses.
pub fn silu_mul(shape: Shape, gate_up: u64, y: u64) -> Launch {
    let Shape { float, t, i } = shape;
    let (suffix, pack) = float.packed(i, &[gate_up, y]);
    let n_threads = threads_for(i / pack, N_THREADS_MAX);
    Launch {
        op: "silu_mul",
        kernel: format!("silu_mul_{suffix}"),
        grid: [dim(t), dim((i / pack).div_ceil(n_threads as usize)), 1],
        n_threads,
        shared_bytes: 0,
        args: vec![Arg::Pointer(gate_up), Arg::Pointer(y), arg(i)],
    }
}
