//! The launches of a mixture of experts: route, sort, gate and up, gate, down, join.
//!
//! How many rows an expert gets is known on the device only, so grids have room for the worst case
//! and blocks without rows end at once.

use std::fmt;

use crate::launch::{Arg, Float, Launch, WARP, arg, dim, threads_for};
use crate::linear::Quant;
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

/// Rows and columns of a tile of the plain product.
const PLAIN_TILE: usize = 16;

/// Mean rows an expert from which tiles of 64 rows serve: below, most of them would be empty.
const SOME_ROWS_FROM: usize = 32;

/// The same for tiles of 128 rows: an expert's last one is half empty on average, which from here on
/// costs a quarter of the arithmetic at most.
const MANY_ROWS_FROM: usize = 256;

/// How the matrices of all experts are stored; `Display` gives the part of a kernel's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// In the type of the activations.
    Dense,
    /// In quantised blocks.
    Quantised(Quant),
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dense => "dense",
            Self::Quantised(quant) => quant.name(),
        })
    }
}

/// Sizes of one call, in the dims alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Type of activations and logits.
    pub float: Float,
    /// How the matrices of gate and up are stored.
    pub gate_up: Stored,
    /// How the matrices back are stored.
    pub down: Stored,
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

/// Addresses for [`launches`]. Matrices begin at multiples of 16 bytes and lie row behind row.
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
    let Shape { float, gate_up, down, t, h, i, e, top_k } = shape;
    assert!(e <= N_EXPERTS_MAX && top_k <= TOP_K_MAX.min(e), "{top_k} of {e} experts");
    let work = Workspace::at(at.workspace, shape);
    let gated = Product {
        x: at.x,
        w: at.gate_up,
        stored: gate_up,
        y: work.gate_up,
        n: 2 * i,
        k: h,
        is_gathered: true,
    };
    let back = Product {
        x: work.hidden,
        w: at.down,
        stored: down,
        y: work.said,
        n: h,
        k: i,
        is_gathered: false,
    };
    vec![
        route(shape, at.logits, &work),
        sort(shape, &work),
        matmul(shape, &work, &gated),
        gate::silu_mul(gate::Shape { float, t: t * top_k, i }, work.gate_up, work.hidden),
        matmul(shape, &work, &back),
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
    stored: Stored,
    y: u64,
    n: usize,
    k: usize,
    /// Whether rows are those of tokens rather than of places.
    is_gathered: bool,
}

/// The part of a product that one block makes, as `kernel.cu` has them.
#[derive(Debug, Clone, Copy)]
struct Tile {
    n_rows: usize,
    n_columns: usize,
    /// Steps that are in shared memory at once.
    n_stages: usize,
    /// Elements of a step.
    step: usize,
    /// Bytes from one column's step to the next.
    column_bytes: usize,
}

impl Tile {
    /// The tile for this product on tensor cores, or none where they do not take it.
    fn of(shape: Shape, product: &Product) -> Option<Self> {
        let Product { x, stored, n, k, .. } = *product;
        let takes = shape.float != Float::F32 && x.is_multiple_of(16) && n.is_multiple_of(2);
        let n_rows_mean = shape.t * shape.top_k / shape.e;
        // Elements that whole copies move, then the step, and the bytes of its columns.
        let (whole, step, column_bytes) = match stored {
            Stored::Dense if n_rows_mean < SOME_ROWS_FROM => (8, 64, 144),
            Stored::Dense => (8, 32, 80),
            Stored::Quantised(Quant::Q8_0) => (128, 128, 144),
            Stored::Quantised(Quant::Q4K) => (256, 128, 80),
        };
        if !takes || !k.is_multiple_of(whole) {
            return None;
        }
        let (n_rows, n_columns, n_stages) = match stored {
            Stored::Dense | Stored::Quantised(_) if n_rows_mean < SOME_ROWS_FROM => (16, 64, 4),
            Stored::Dense if n_rows_mean < MANY_ROWS_FROM => (64, 128, 4),
            Stored::Dense => (128, 128, 4),
            Stored::Quantised(_) => (64, 128, 2),
        };
        Some(Self { n_rows, n_columns, n_stages, step, column_bytes })
    }

    /// Shared memory: the rows' numbers, then the steps of rows and columns.
    fn shared_bytes(self, float: Float) -> usize {
        let row_bytes = (self.step + 8) * float.size();
        let stage_bytes = self.n_rows * row_bytes + self.n_columns * self.column_bytes;
        self.n_rows * size_of::<u32>() + self.n_stages * stage_bytes
    }
}

fn matmul(shape: Shape, work: &Workspace, product: &Product) -> Launch {
    let Product { x, w, stored, y, n, k, is_gathered } = *product;
    let float = shape.float;
    let (kernel, n_rows, n_columns, n_threads, shared_bytes) = match Tile::of(shape, product) {
        Some(tile) => {
            let Tile { n_rows, n_columns, .. } = tile;
            let kernel = format!("moe_matmul_{stored}_{float}_{n_rows}");
            (kernel, n_rows, n_columns, MATMUL_THREADS, tile.shared_bytes(float))
        }
        None => {
            let shared_bytes = 2 * PLAIN_TILE * (WARP + 1) * size_of::<f32>();
            let kernel = format!("moe_matmul_plain_{stored}_{float}");
            (kernel, PLAIN_TILE, PLAIN_TILE, PLAIN_THREADS, shared_bytes)
        }
    };
    let n_places = shape.t * shape.top_k;
    // Every expert may end in a tile that is not full, but no more experts than places have rows.
    let n_tiles = n_places / n_rows + shape.e.min(n_places);
    let top_k = if is_gathered { shape.top_k } else { 0 };
    let pointers = [x, w, work.starts, work.order, y];
    Launch {
        op: "moe",
        kernel,
        grid: [dim(n_tiles * n.div_ceil(n_columns)), 1, 1],
        n_threads: dim(n_threads),
        shared_bytes: dim(shared_bytes),
        args: args(&pointers, &[shape.e, top_k, n, k]),
    }
}

fn args(pointers: &[u64], sizes: &[usize]) -> Vec<Arg> {
    let pointers = pointers.iter().copied().map(Arg::Pointer);
    pointers.chain(sizes.iter().map(|&size| arg(size))).collect()
}
