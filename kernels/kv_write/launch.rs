//! The launches of `kv_write` and `rope_kv_write`: one block a row.

use crate::launch::{Arg, Float, Launch, arg, dim, threads_for};

/// Most threads of a block: a row has a few hundred packs.
const N_THREADS_MAX: usize = 512;

/// Sizes of one call, in the dims alphabet.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Type of sources, queries and pools.
    pub float: Float,
    /// Rows.
    pub t: usize,
    /// Query heads; [`kv_write`] does not ask.
    pub hq: usize,
    /// Key/value heads.
    pub hkv: usize,
    /// Head size, even.
    pub d: usize,
}

/// Addresses for [`rope_kv_write`].
#[derive(Debug, Clone, Copy)]
pub struct RopePointers {
    /// `[t, (hq + 2 * hkv) * d]`.
    pub qkv: u64,
    /// `[t, d / 2]` f32.
    pub cos: u64,
    /// `[t, d / 2]` f32.
    pub sin: u64,
    /// `[t]` u32.
    pub slots: u64,
    /// `[t, hq, d]`, written.
    pub q: u64,
    /// `[n, BLOCK, hkv, d]`, written.
    pub k_pool: u64,
    /// `[n, BLOCK, hkv, d]`, written.
    pub v_pool: u64,
}

/// Addresses for [`kv_write`].
#[derive(Debug, Clone, Copy)]
pub struct Pointers {
    /// `[t, hkv, d]`.
    pub k: u64,
    /// `[t, hkv, d]`.
    pub v: u64,
    /// `[t]` u32.
    pub slots: u64,
    /// `[n, BLOCK, hkv, d]`, written.
    pub k_pool: u64,
    /// `[n, BLOCK, hkv, d]`, written.
    pub v_pool: u64,
}

/// Rotates, stores and returns the queries; see `kernel.cu`.
pub fn rope_kv_write(shape: Shape, at: &RopePointers) -> Launch {
    let Shape { float, t, hq, hkv, d } = shape;
    let addresses = [at.qkv, at.cos, at.sin, at.q, at.k_pool, at.v_pool];
    let (suffix, pack) = float.packed(d / 2, &addresses);
    Launch {
        op: "kv_write",
        kernel: format!("rope_kv_write_{suffix}"),
        grid: [dim(t), 1, 1],
        n_threads: threads_for((hq + 2 * hkv) * d / 2 / pack, N_THREADS_MAX),
        shared_bytes: 0,
        args: vec![
            Arg::Pointer(at.qkv),
            Arg::Pointer(at.cos),
            Arg::Pointer(at.sin),
            Arg::Pointer(at.slots),
            Arg::Pointer(at.q),
            Arg::Pointer(at.k_pool),
            Arg::Pointer(at.v_pool),
            arg(hq),
            arg(hkv),
            arg(d),
        ],
    }
}

/// Stores keys and values as they are.
pub fn kv_write(shape: Shape, at: &Pointers) -> Launch {
    let Shape { float, t, hkv, d, .. } = shape;
    let (suffix, pack) = float.packed(hkv * d, &[at.k, at.v, at.k_pool, at.v_pool]);
    Launch {
        op: "kv_write",
        kernel: format!("kv_write_{suffix}"),
        grid: [dim(t), 1, 1],
        n_threads: threads_for(hkv * d / pack, N_THREADS_MAX),
        shared_bytes: 0,
        args: vec![
            Arg::Pointer(at.k),
            Arg::Pointer(at.v),
            Arg::Pointer(at.slots),
            Arg::Pointer(at.k_pool),
            Arg::Pointer(at.v_pool),
            arg(hkv * d),
        ],
    }
}
