//! The launches of `rms_norm` and `add_rms_norm`: one block a row.

use crate::launch::{Arg, Float, Launch, WARP, arg, dim, threads_for};

/// Most threads of a block: rows of 4096 halves give each of them one pack.
const N_THREADS_MAX: usize = 512;

/// Sizes of one call, in the dims alphabet.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Type of all tensors.
    pub float: Float,
    /// Rows.
    pub t: usize,
    /// Width of a row.
    pub h: usize,
}

/// Addresses for [`rms_norm`].
#[derive(Debug, Clone, Copy)]
pub struct Pointers {
    /// `[t, h]`.
    pub x: u64,
    /// `[h]`.
    pub w: u64,
    /// `[t, h]`, written.
    pub y: u64,
}

/// Addresses for [`add_rms_norm`] beside those of [`Pointers`].
#[derive(Debug, Clone, Copy)]
pub struct AddPointers {
    /// `[t, h]`.
    pub residual: u64,
    /// `[t, h]`, written.
    pub sum: u64,
}

/// The norm alone.
pub fn rms_norm(shape: Shape, eps: f32, at: &Pointers) -> Launch {
    let (suffix, pack) = shape.float.packed(shape.h, &[at.x, at.w, at.y]);
    let args = [at.x, at.w, at.y];
    launch(format!("rms_norm_{suffix}"), shape, pack, eps, &args)
}

/// The norm of a sum, which is kept.
pub fn add_rms_norm(shape: Shape, eps: f32, at: &Pointers, add: &AddPointers) -> Launch {
    let args = [at.x, add.residual, at.w, at.y, add.sum];
    let (suffix, pack) = shape.float.packed(shape.h, &args);
    launch(format!("add_rms_norm_{suffix}"), shape, pack, eps, &args)
}

fn launch(kernel: String, shape: Shape, pack: usize, eps: f32, addresses: &[u64]) -> Launch {
    let mut args: Vec<Arg> = addresses.iter().copied().map(Arg::Pointer).collect();
    args.extend([arg(shape.h), Arg::F32(eps)]);
    Launch {
        op: "rms_norm",
        kernel,
        grid: [dim(shape.t), 1, 1],
        n_threads: threads_for(shape.h / pack, N_THREADS_MAX),
        shared_bytes: dim(WARP * size_of::<f32>()),
        args,
    }
}
