//! The launches of a mixture of experts: route, sort, gate and up, gate, down, join.
//!
//! How many rows an expert gets is known on the device only, so grids have room for the worst case
//! and blocks without rows end at once.

use crate::launch::{Arg, Float, Launch, WARP, arg, dim, threads_for};
use crate::silu_mul::launch as gate;

/// Most experts and most experts a token that the router kernel takes.
pub const N_EXPERTS_MAX: usize = 256;
/// See [`N_EXPERTS_MAX`].
pub const TOP_K_MAX: usize = 32;

/// Threads of the router, of the product's kernels and of the plain product.
const ROUTE_THREADS: usize = 128;
const MATMUL_THREADS: usize = 128;
const PLAIN_THREADS: usize = 256;

/// Most threads of a block that sorts, and of one that joins.
const SORT_THREADS_MAX: usize = 512;
const JOIN_THREADS_MAX: usize = 256;

/// Steps of a product that are in shared memory at once.
const N_STAGES: usize = 4;

/// Mean rows an expert from which the large tile serves: below, most of it would be empty.
const LARGE_TILE_FROM: usize = 32;

/// Sizes of one call, in the dims alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Type of activations, logits and matrices.
    pub float: Float,
    /// Tokens.
    pub t: usize,
    /// Hidden size.
    pub h: usize,
    /// Intermediate size of an expert.
    pub i: usize,
    /// Experts.
    pub e: usize,
    /// Experts a token.
    pub top_k: usize,
}

/// Addresses for [`launches`]. Matrices begin at multiples of 16 bytes.
#[derive(Debug, Clone, Copy)]
pub struct Pointers {
    /// `[t, h]`.
    pub x: u64,
    /// `[t, e]`.
    pub logits: u64,
    /// `[e]` u64: the addresses of the experts' `[2i, h]`, gate and up.
    pub gate_up: u64,
    /// `[e]` u64: the addresses of the experts' `[h, i]`.
    pub down: u64,
    /// [`workspace_bytes`] of any content, at a multiple of 256 bytes.
    pub workspace: u64,
    /// `[t, h]`, written.
    pub out: u64,
}

/// Where things lie in the workspace.
#[derive(Debug, Clone, Copy)]
pub struct Workspace {
    /// `[t, k]` u32, best first.
    pub experts: u64,
    /// `[t, k]` f32.
    pub weights: u64,
    /// `[e + 1]` u32: first place of each expert, then the number of places.
    pub starts: u64,
    /// `[t * k]` u32: places `token * k + rank` by expert, ascending within one.
    pub order: u64,
    /// `[t * k]` u32: the inverse of `order`.
    pub found: u64,
    /// `[t * k, 2i]`, rows in `order`.
    pub gate_up: u64,
    /// `[t * k, i]`.
    pub hidden: u64,
    /// `[t * k, h]`.
    pub said: u64,
    /// Behind the last byte.
    pub end: u64,
}

impl Workspace {
    /// The parts of a workspace that begins at `start`.
    pub fn at(start: u64, shape: Shape) -> Self {
        let mut end = start;
        let mut take = |n_bytes: usize| {
            let start = end;
            end += n_bytes.next_multiple_of(256) as u64;
            start
        };
        let (places, size) = (shape.t * shape.top_k, shape.float.size());
        let experts = take(4 * places);
        let weights = take(4 * places);
        let starts = take(4 * (shape.e + 1));
        let order = take(4 * places);
        let found = take(4 * places);
        let gate_up = take(places * 2 * shape.i * size);
        let hidden = take(places * shape.i * size);
        let said = take(places * shape.h * size);
        Self { experts, weights, starts, order, found, gate_up, hidden, said, end }
    }
}

/// Bytes that [`launches`] need beside operands and result.
pub fn workspace_bytes(shape: Shape) -> usize {
    usize::try_from(Workspace::at(0, shape).end).expect("a size in memory")
}

/// The whole mixture, in order.
///
/// # Panics
/// When there are more experts, or more a token, than the router takes.
pub fn launches(shape: Shape, at: &Pointers) -> Vec<Launch> {
    let Shape { float, t, h, i, e, top_k } = shape;
    assert!(e <= N_EXPERTS_MAX && top_k <= TOP_K_MAX.min(e), "{top_k} of {e} experts");
    let work = Workspace::at(at.workspace, shape);
    let up = Product { x: at.x, w: at.gate_up, y: work.gate_up, n: 2 * i, k: h, is_gathered: true };
    let down = Product { x: work.hidden, w: at.down, y: work.said, n: h, k: i, is_gathered: false };
    vec![
        route(shape, at.logits, &work),
        sort(shape, &work),
        matmul(shape, &work, &up),
        gate::silu_mul(gate::Shape { float, t: t * top_k, i }, work.gate_up, work.hidden),
        matmul(shape, &work, &down),
        join(shape, &work, at.out),
    ]
}

fn route(shape: Shape, logits: u64, work: &Workspace) -> Launch {
    let pointers = [logits, work.experts, work.weights];
    Launch {
        op: "moe",
        kernel: format!("moe_route_{}", shape.float),
        grid: [dim(shape.t.div_ceil(ROUTE_THREADS / WARP)), 1, 1],
        n_threads: dim(ROUTE_THREADS),
        shared_bytes: 0,
        args: args(&pointers, &[shape.t, shape.e, shape.top_k]),
    }
}

fn sort(shape: Shape, work: &Workspace) -> Launch {
    let n_places = shape.t * shape.top_k;
    let pointers = [work.experts, work.starts, work.order, work.found];
    Launch {
        op: "moe",
        kernel: "moe_sort".into(),
        grid: [dim(shape.e + 1), 1, 1],
        n_threads: threads_for(n_places, SORT_THREADS_MAX),
        shared_bytes: dim(2 * WARP * size_of::<u32>()),
        args: args(&pointers, &[n_places]),
    }
}

fn join(shape: Shape, work: &Workspace, out: u64) -> Launch {
    let pointers = [work.said, work.weights, work.found, out];
    Launch {
        op: "moe",
        kernel: format!("moe_join_{}", shape.float),
        grid: [dim(shape.t), 1, 1],
        n_threads: threads_for(shape.h, JOIN_THREADS_MAX),
        shared_bytes: 0,
        args: args(&pointers, &[shape.top_k, shape.h]),
    }
}

/// One product of all experts, `y[place] = x[row] W^T` with `W` `[n, k]`.
struct Product {
    x: u64,
    w: u64,
    y: u64,
    n: usize,
    k: usize,
    /// Whether rows are those of tokens rather than of places.
    is_gathered: bool,
}

/// The part of a product that one block makes.
struct Tile {
    /// The end of the kernel's name.
    suffix: String,
    n_rows: usize,
    n_columns: usize,
    n_threads: usize,
    shared_bytes: usize,
}

impl Tile {
    fn of(shape: Shape, product: &Product) -> Self {
        let float = shape.float;
        let is_aligned = product.x.is_multiple_of(16) && product.k.is_multiple_of(8);
        if float == Float::F32 || !is_aligned || !product.n.is_multiple_of(2) {
            let shared_bytes = 2 * 16 * (WARP + 1) * size_of::<f32>();
            let suffix = format!("plain_{float}");
            return Self {
                suffix,
                n_rows: 16,
                n_columns: 16,
                n_threads: PLAIN_THREADS,
                shared_bytes,
            };
        }
        let is_large = shape.t * shape.top_k >= LARGE_TILE_FROM * shape.e;
        let (n_rows, n_columns, step) = if is_large { (64, 128, 32) } else { (16, 64, 64) };
        Self {
            suffix: format!("{float}_{n_rows}"),
            n_rows,
            n_columns,
            n_threads: MATMUL_THREADS,
            shared_bytes: N_STAGES * (n_rows + n_columns) * (step + 8) * float.size(),
        }
    }
}

fn matmul(shape: Shape, work: &Workspace, product: &Product) -> Launch {
    let Product { x, w, y, n, k, is_gathered } = *product;
    let tile = Tile::of(shape, product);
    let n_places = shape.t * shape.top_k;
    // Every expert may end in a tile that is not full, but no more experts than places have rows.
    let n_tiles = n_places / tile.n_rows + shape.e.min(n_places);
    let top_k = if is_gathered { shape.top_k } else { 0 };
    let pointers = [x, w, work.starts, work.order, y];
    Launch {
        op: "moe",
        kernel: format!("moe_matmul_{}", tile.suffix),
        grid: [dim(n_tiles), dim(n.div_ceil(tile.n_columns)), 1],
        n_threads: dim(tile.n_threads),
        shared_bytes: dim(tile.shared_bytes),
        args: args(&pointers, &[shape.e, top_k, n, k]),
    }
}

fn args(pointers: &[u64], sizes: &[usize]) -> Vec<Arg> {
    let pointers = pointers.iter().copied().map(Arg::Pointer);
    pointers.chain(sizes.iter().map(|&size| arg(size))).collect()
}
