//! The launch of `embed`: one block a row.

use crate::launch::{Arg, Float, Launch, arg, dim, threads_for};

/// Most threads of a block.
const N_THREADS_MAX: usize = 256;

/// Sizes of one call, in the dims alphabet.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Type of table and result.
    pub float: Float,
    /// Rows.
    pub t: usize,
    /// Rows of the table.
    pub v: usize,
    /// Width of a row.
    pub h: usize,
}

/// Rows `tokens` (`[t]` u32) of `table` (`[v, h]`) to `y` (`[t, h]`), all addresses.
pub fn embed(shape: Shape, table: u64, tokens: u64, y: u64) -> Launch {
    let Shape { float, t, v, h } = shape;
    let (suffix, pack) = float.packed(h, &[table, y]);
    Launch {
        op: "embed",
        kernel: format!("embed_{suffix}"),
        grid: [dim(t), 1, 1],
        n_threads: threads_for(h / pack, N_THREADS_MAX),
        shared_bytes: 0,
        args: vec![Arg::Pointer(table), Arg::Pointer(tokens), Arg::Pointer(y), arg(v), arg(h)],
    }
}
