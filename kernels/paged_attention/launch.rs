//! Which rows of a batch run in which attention kernel, and on how many blocks.
//!
//! A [`Plan`] is made once a forward from the batch on the host, and serves all layers: its work
//! lists are uploaded with the batch, its launches differ between layers by addresses only. Rows
//! that stand alone in their sequence (decodes) take the row kernel, neighbouring rows (prefill) the
//! tile kernel; a batch may hold both. f32, and head sizes without a kernel of their own, take the
//! plain kernel row by row.

use crate::launch::{Arg, Float, Launch, WARP, arg, dim};
use crate::paged::{BLOCK, Batch};

/// Head sizes of the tensor core kernels.
const TENSOR_HEAD_DIMS: [usize; 4] = [64, 80, 96, 128];

/// Largest head size of any kernel.
const HEAD_DIM_MAX: usize = 256;

/// Warps of a block of the tensor core kernels, and the packed rows of a warp.
const N_WARPS: usize = 4;
const TILE: usize = 16;

/// Keys of a step of the row kernel.
const ROW_KEYS: usize = 16;

/// Fewest keys worth a block of their own: below, joining the parts costs more than it wins.
const PART_KEYS_MIN: usize = 4 * BLOCK;

/// Words of an entry of the work lists, as in `parts.cuh`.
const ROW_WORDS: usize = 5;
const TILE_WORDS: usize = 4;
const MERGE_WORDS: usize = 3;

/// The part of a row that has only one.
const NO_PART: u32 = u32::MAX;

/// Sizes of one call, in the dims alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Type of queries, pools and result.
    pub float: Float,
    /// Query heads.
    pub hq: usize,
    /// Key/value heads.
    pub hkv: usize,
    /// Head size.
    pub d: usize,
}

/// When the keys of one row are shared out over several blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// When the rows alone would leave multiprocessors idle, or one long row would keep the rest
    /// waiting. A row's last bits then depend on what runs beside it.
    Fill {
        /// Multiprocessors of the device.
        n_sms: usize,
    },
    /// Always after so many keys, a multiple of [`BLOCK`], whatever runs beside it.
    Every {
        /// Keys of a part.
        n_keys: usize,
    },
}

/// Addresses for one layer.
#[derive(Debug, Clone, Copy)]
pub struct Pointers {
    /// `[t, hq, d]`.
    pub q: u64,
    /// `[n, BLOCK, hkv, d]`.
    pub k: u64,
    /// `[n, BLOCK, hkv, d]`.
    pub v: u64,
    /// `[b, table_width]` u32.
    pub tables: u64,
    /// [`Plan::work`], uploaded.
    pub work: u64,
    /// [`Plan::n_workspace`] f32, of any content; may be 0 when that is 0.
    pub workspace: u64,
    /// `[t, hq * d]`, written.
    pub out: u64,
}

/// Attention of one batch.
#[derive(Debug, Clone)]
pub struct Plan {
    shape: Shape,
    window: Option<usize>,
    table_width: usize,
    /// Entries of rows, tiles and merges, one list behind the other.
    work: Vec<u32>,
    n_rows: usize,
    n_tiles: usize,
    n_merges: usize,
    n_parts: usize,
}

/// Some keys of one row.
struct Row {
    row: usize,
    sequence: usize,
    first: usize,
    end: usize,
}

/// Neighbouring rows of one sequence.
struct Tile {
    row: usize,
    n_rows: usize,
    sequence: usize,
    position: usize,
}

impl Plan {
    /// Plans the attention of `batch`; `window` is that of [`Attend`](super::Attend).
    ///
    /// # Panics
    /// When the heads are of no shape that [`paged_attention`](super::paged_attention()) lets pass, or
    /// the head size is above 256.
    pub fn new(batch: &Batch, shape: Shape, window: Option<usize>, split: Split) -> Self {
        let Shape { hq, hkv, d, .. } = shape;
        assert!(d.is_multiple_of(2) && d <= HEAD_DIM_MAX, "head size {d}");
        assert!(hkv > 0 && hq.is_multiple_of(hkv), "{hq} query heads for {hkv}");
        assert!(window != Some(0), "a window of nothing");
        let mut rows = Vec::new();
        let mut tiles = Vec::new();
        for sequence in 0..batch.n_sequences() {
            let range = batch.rows(sequence);
            if shape.takes_tiles(range.len()) {
                cut_tiles(batch, sequence, shape.tile_rows(), &mut tiles);
            } else {
                rows.extend(range.map(|row| {
                    let end = batch.positions[row] as usize + 1;
                    let first = window.map_or(0, |window| end.saturating_sub(window));
                    Row { row, sequence, first, end }
                }));
            }
        }
        // The longest first, so that the last blocks to start are short ones.
        tiles.sort_by_key(|tile| std::cmp::Reverse(tile.position + tile.n_rows));

        let n_keys_max = split.n_keys_max(&rows, hkv);
        let mut plan = Self {
            shape,
            window,
            table_width: batch.table_width,
            work: Vec::new(),
            n_rows: 0,
            n_tiles: tiles.len(),
            n_merges: 0,
            n_parts: 0,
        };
        let merges = plan.push_rows(&rows, n_keys_max);
        for tile in &tiles {
            let words = [tile.row, tile.n_rows, tile.sequence, tile.position];
            plan.work.extend(words.map(dim));
        }
        plan.n_merges = merges.len() / MERGE_WORDS;
        plan.work.extend(merges);
        plan
    }

    /// Lists the rows in parts of at most `n_keys_max` keys; returns the list of merges.
    fn push_rows(&mut self, rows: &[Row], n_keys_max: usize) -> Vec<u32> {
        let mut merges = Vec::new();
        for row in rows {
            // Parts begin at multiples of their length, not at the first key that the row sees: in
            // a sliding window they then keep their place from one token to the next.
            let first_part = row.first / n_keys_max;
            let n_parts = row.end.div_ceil(n_keys_max) - first_part;
            if n_parts > 1 {
                merges.extend([row.row, self.n_parts, n_parts].map(dim));
            }
            for part in first_part..first_part + n_parts {
                let first = row.first.max(part * n_keys_max);
                let end = row.end.min((part + 1) * n_keys_max);
                let place = if n_parts > 1 { dim(self.n_parts) } else { NO_PART };
                self.work.extend([row.row, row.sequence, first, end].map(dim));
                self.work.push(place);
                self.n_rows += 1;
                self.n_parts += usize::from(n_parts > 1);
            }
        }
        merges
    }

    /// The work lists, to be uploaded beside the batch.
    pub fn work(&self) -> &[u32] {
        &self.work
    }

    /// f32 numbers of memory that the launches of one layer need, and leave free after them.
    pub fn n_workspace(&self) -> usize {
        self.n_parts * self.shape.hq * (self.shape.d + 2)
    }

    /// The launches of one layer, in order; `scale` is that of [`Attend`](super::Attend).
    ///
    /// # Panics
    /// When `scale` is not above 0, or an address not a multiple of 16 where tensor cores read.
    pub fn launches(&self, scale: f32, at: &Pointers) -> Vec<Launch> {
        assert!(scale > 0.0, "scale {scale}");
        let is_aligned = [at.q, at.k, at.v, at.out].iter().all(|at| at.is_multiple_of(16));
        assert!(is_aligned || !self.shape.on_tensor_cores(), "{at:x?}");
        let n_kernels = [self.n_rows, self.n_tiles, self.n_merges];
        let kernels = [Self::row_launch, Self::tile_launch, Self::merge_launch];
        let wanted = kernels.into_iter().zip(n_kernels).filter(|(_, n)| *n > 0);
        // Scores are kept in powers of two, which the device raises faster than those of e.
        let scale = scale * std::f32::consts::LOG2_E;
        wanted.map(|(launch, _)| launch(self, scale, at)).collect()
    }

    fn row_launch(&self, scale: f32, at: &Pointers) -> Launch {
        let Shape { float, hq, hkv, d } = self.shape;
        let mut args = self.inputs(at, 0);
        args.extend([Arg::Pointer(at.out), Arg::Pointer(at.workspace), arg(hq), arg(hkv)]);
        let (kernel, shared_bytes) = if self.shape.fits_rows() {
            // Two steps of keys and values for each warp, behind one tile of queries.
            let n_rows = TILE + N_WARPS * 2 * 2 * ROW_KEYS;
            (format!("attend_row_{float}_{d}"), n_rows * self.shape.shared_stride())
        } else {
            args.push(arg(d));
            let group = hq / hkv;
            let n_floats = 2 * group * d + BLOCK * (d + 1) + group * BLOCK + 3 * group;
            (format!("attend_plain_{float}"), n_floats * size_of::<f32>())
        };
        args.push(Arg::F32(scale));
        let grid = [dim(self.n_rows * hkv), 1, 1];
        self.launch(kernel, grid, shared_bytes, args)
    }

    fn tile_launch(&self, scale: f32, at: &Pointers) -> Launch {
        let Shape { float, hq, hkv, d } = self.shape;
        let mut args = self.inputs(at, self.n_rows * ROW_WORDS);
        let window =
            self.window.map_or(u32::MAX, |window| u32::try_from(window).unwrap_or(u32::MAX));
        args.extend([Arg::Pointer(at.out), arg(hq), arg(hkv), Arg::U32(window), Arg::F32(scale)]);
        // Two blocks of keys and values.
        let shared_bytes = 2 * 2 * BLOCK * self.shape.shared_stride();
        let grid = [dim(self.n_tiles * hkv), 1, 1];
        self.launch(format!("attend_tile_{float}_{d}"), grid, shared_bytes, args)
    }

    fn merge_launch(&self, _scale: f32, at: &Pointers) -> Launch {
        let Shape { float, hq, hkv, d } = self.shape;
        let skipped = self.n_rows * ROW_WORDS + self.n_tiles * TILE_WORDS;
        let args = vec![
            Arg::Pointer(self.work_at(at, skipped)),
            Arg::Pointer(at.out),
            Arg::Pointer(at.workspace),
            arg(hq),
            arg(hkv),
            arg(d),
        ];
        let grid = [dim(self.n_merges), dim(hq), 1];
        let launch = self.launch(format!("merge_{float}"), grid, 0, args);
        Launch { n_threads: dim(d.next_multiple_of(WARP)), ..launch }
    }

    /// The arguments that rows and tiles begin with; their list lies behind `n_words` of the work.
    fn inputs(&self, at: &Pointers, n_words: usize) -> Vec<Arg> {
        let mut args: Vec<Arg> = [at.q, at.k, at.v, at.tables].map(Arg::Pointer).into();
        args.extend([arg(self.table_width), Arg::Pointer(self.work_at(at, n_words))]);
        args
    }

    fn work_at(&self, at: &Pointers, n_words: usize) -> u64 {
        at.work + (n_words * size_of::<u32>()) as u64
    }

    fn launch(&self, kernel: String, grid: [u32; 3], bytes: usize, args: Vec<Arg>) -> Launch {
        let n_threads = dim(N_WARPS * WARP);
        Launch { op: "paged_attention", kernel, grid, n_threads, shared_bytes: dim(bytes), args }
    }
}

impl Shape {
    fn on_tensor_cores(self) -> bool {
        self.float != Float::F32 && TENSOR_HEAD_DIMS.contains(&self.d)
    }

    /// Whether the heads of a group are few enough for the row kernel.
    fn fits_rows(self) -> bool {
        self.on_tensor_cores() && self.hq / self.hkv <= TILE
    }

    /// Whether `n_rows` rows of one sequence go into tiles.
    fn takes_tiles(self, n_rows: usize) -> bool {
        let fits = self.on_tensor_cores() && self.hq / self.hkv <= N_WARPS * TILE;
        fits && (n_rows > 1 || !self.fits_rows())
    }

    /// Rows of a full tile.
    fn tile_rows(self) -> usize {
        N_WARPS * TILE / (self.hq / self.hkv)
    }

    /// Bytes from row to row of a head in shared memory; `STRIDE` of `tensor.cuh`.
    fn shared_stride(self) -> usize {
        (self.d + 8) * self.float.size()
    }
}

impl Split {
    /// Most keys of a part.
    fn n_keys_max(self, rows: &[Row], hkv: usize) -> usize {
        match self {
            Self::Every { n_keys } => n_keys.next_multiple_of(BLOCK).max(BLOCK),
            Self::Fill { n_sms } => {
                let n_keys: usize = rows.iter().map(|row| (row.end - row.first) * hkv).sum();
                // Four blocks for each multiprocessor: two or three run at a time, and some
                // more even out what is left at the end.
                let share = n_keys.div_ceil(4 * n_sms.max(1));
                share.max(PART_KEYS_MIN).next_multiple_of(BLOCK)
            }
        }
    }
}

/// Cuts the rows of a sequence into tiles; within one, positions follow one another.
fn cut_tiles(batch: &Batch, sequence: usize, n_rows_max: usize, tiles: &mut Vec<Tile>) {
    let mut open: Option<Tile> = None;
    for row in batch.rows(sequence) {
        let position = batch.positions[row] as usize;
        match &mut open {
            Some(tile) if tile.n_rows < n_rows_max && tile.position + tile.n_rows == position => {
                tile.n_rows += 1;
            }
            _ => tiles.extend(open.replace(Tile { row, n_rows: 1, sequence, position })),
        }
    }
    tiles.extend(open);
}
