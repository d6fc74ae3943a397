//! The f32 product on CPU: `out[r, c] = sum_p x[r, p] * w[c, p]` over packed panels.
//!
//! Every output is ONE chain of fused multiply-adds over `p = 0, 1, .., k - 1`, starting at zero,
//! whatever the number of rows, of threads or the width of the vectors; where `k` is cut into
//! blocks the f32 accumulator is stored and taken up again, which changes no bit. Hence a row's
//! result does not depend on its neighbours, and a batch equals its rows alone, bit for bit.
//!
//! A tile is up to 14 rows (AVX-512), 6 (AVX2) or 2 (plain) by one panel of 32 outputs, held in
//! registers. One row streams the weights at memory speed; with more rows a tile asks for the
//! next panel while it computes, so that memory and arithmetic overlap.

use super::panels::{LANES, LINES, Panels};
use rayon::prelude::*;
use std::ops::Range;

/// Rows whose packed activations are meant to stay in L2 while the panels pass by.
const ROWS_PER_PASS: usize = 112;

/// Steps over `k` in one block; beyond it the accumulators are stored and taken up again.
const K_BLOCK: usize = 4096;

/// Multiply-adds below which a product is not worth waking other threads.
const SERIAL_BELOW: usize = 64 * 1024;

/// Pieces of work a thread gets on average, so that a thread held up elsewhere is helped out.
const TASKS_PER_THREAD: usize = 6;

/// Floats between the step being computed and the one asked for, when one tile holds all rows.
const DISTANCE: usize = 64 * LANES;

/// The instruction sets with a tile of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Plain,
}

/// One tile: `rows x LANES` outputs over `k_len` steps.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "nothing is prefetched there"))]
struct Tile {
    /// `[k_len, rows]` activations.
    a: *const f32,
    /// `[k_len, LANES]` weights, 64-byte aligned.
    b: *const f32,
    k_len: usize,
    /// `[rows, LANES]` outputs, `stride` floats from row to row.
    out: *mut f32,
    stride: usize,
    /// Go on from what `out` holds instead of from zero.
    resume: bool,
    ahead: Ahead,
}

/// What a tile asks of memory meanwhile: step `p` touches the lines at `from + p * step` and
/// `also` behind it. Only a hint, it may point anywhere. A lone row asks for nothing: it does
/// nothing but read forward, which the processor foresees better (33 GB/s against 26).
#[derive(Clone, Copy)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "nothing is prefetched there"))]
struct Ahead {
    from: *const f32,
    step: usize,
    also: usize,
}

type TileFn = unsafe fn(Tile);

impl Isa {
    /// All that this machine has, best first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        [
            #[cfg(target_arch = "x86_64")]
            is_x86_feature_detected!("avx512f").then_some(Self::Avx512),
            #[cfg(target_arch = "x86_64")]
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"))
                .then_some(Self::Avx2),
            Some(Self::Plain),
        ]
        .into_iter()
        .flatten()
    }

    /// The best that this machine has.
    pub(super) fn best() -> Self {
        Self::all().next().unwrap_or(Self::Plain)
    }

    /// Rows that a tile holds at most: as many as the registers take.
    fn rows_max(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 14,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 6,
            Self::Plain => 2,
        }
    }

    /// The tile for `rows` rows.
    fn tile(self, rows: usize) -> TileFn {
        macro_rules! by_rows {
            ($tile:ident, $($rows:literal)+) => {
                match rows {
                    $($rows => $tile::<$rows>,)+
                    _ => unreachable!("a tile has 1 to {} rows, not {rows}", self.rows_max()),
                }
            };
        }
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => by_rows!(tile_avx512, 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => by_rows!(tile_avx2, 1 2 3 4 5 6),
            Self::Plain => by_rows!(tile_plain, 1 2),
        }
    }
}

/// `x [t, k]` times the transpose of `w [n, k]`: `[t, n]`.
pub(crate) fn matmul(w: &Panels, x: &[f32]) -> Vec<f32> {
    matmul_with(Isa::best(), w, x)
}

/// [`matmul`] with the tiles of one instruction set, which this machine must have.
pub(super) fn matmul_with(isa: Isa, w: &Panels, x: &[f32]) -> Vec<f32> {
    let (n, k) = (w.n(), w.k());
    let t = x.len().checked_div(k).unwrap_or(0);
    assert_eq!(t * k, x.len(), "activations are whole rows of {k}");
    let mut out = Vec::with_capacity(t * n);
    if t * n == 0 {
        return out;
    }
    let serial = t * n * k < SERIAL_BELOW || rayon::current_num_threads() == 1;
    let rows = RowTiles::new(t, isa.rows_max());
    let packed = if t == 1 { Vec::new() } else { pack_activations(x, k, &rows, serial) };
    let product = Product {
        isa,
        w,
        a: if t == 1 { x } else { &packed },
        rows,
        out: Shared(out.as_mut_ptr()),
    };
    if serial {
        product.run(0..product.rows.n, 0..w.n_panels());
    } else {
        product.run_parallel();
    }
    // SAFETY: `capacity` is at least t * n, and the tasks above cover every row tile and every
    // panel, so that each of the t * n values has been written.
    unsafe { out.set_len(t * n) };
    out
}

/// `t` rows cut into `n` tiles whose heights differ by one at most.
#[derive(Clone, Copy)]
struct RowTiles {
    n: usize,
    /// Height of the lower tiles; the first `n_high` have one row more.
    height: usize,
    n_high: usize,
}

impl RowTiles {
    fn new(t: usize, rows_max: usize) -> Self {
        let n = t.div_ceil(rows_max);
        Self { n, height: t / n, n_high: t % n }
    }

    /// Rows of tile `i`.
    fn rows(&self, i: usize) -> Range<usize> {
        let first = |i: usize| i * self.height + i.min(self.n_high);
        first(i)..first(i + 1)
    }
}

/// Rearranges `x [t, k]` to `[k, rows]` tile by tile, so that a step over `k` reads one place
/// instead of as many as there are rows (which, 4 KiB apart, would also share one cache set).
fn pack_activations(x: &[f32], k: usize, tiles: &RowTiles, serial: bool) -> Vec<f32> {
    let mut packed = vec![0.0; x.len()];
    let mut rest = packed.as_mut_slice();
    let mut parts = Vec::with_capacity(tiles.n);
    for i in 0..tiles.n {
        let rows = tiles.rows(i);
        let (part, tail) = rest.split_at_mut(rows.len() * k);
        parts.push((&x[rows.start * k..rows.end * k], part, rows.len()));
        rest = tail;
    }
    let pack = |(source, part, rows): (&[f32], &mut [f32], usize)| {
        for (r, row) in source.chunks_exact(k).enumerate() {
            for (step, &value) in part.chunks_exact_mut(rows).zip(row) {
                step[r] = value;
            }
        }
    };
    if serial {
        parts.into_iter().for_each(pack)
    } else {
        parts.into_par_iter().for_each(pack)
    }
    packed
}

/// A pointer that several threads write through, each to places of its own.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: the pointer is only written through, and by construction of the tasks in
// `Product::run_parallel` no two threads write the same element.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// One product, ready to be computed piece by piece.
struct Product<'a> {
    isa: Isa,
    w: &'a Panels,
    /// `x`, packed tile by tile.
    a: &'a [f32],
    rows: RowTiles,
    /// `[t, n]`.
    out: Shared,
}

impl Product<'_> {
    /// Splits the grid of row tiles and panels over the threads of the current pool.
    fn run_parallel(&self) {
        let tiles_per_pass = (ROWS_PER_PASS / self.isa.rows_max()).max(1);
        let n_passes = self.rows.n.div_ceil(tiles_per_pass);
        let n_tasks = (rayon::current_num_threads() * TASKS_PER_THREAD).div_ceil(n_passes);
        let n_panels = self.w.n_panels();
        let panels_per_task = n_panels.div_ceil(n_tasks);
        let n_groups = n_panels.div_ceil(panels_per_task);
        (0..n_passes * n_groups).into_par_iter().for_each(|task| {
            let tile = task / n_groups * tiles_per_pass;
            let panel = task % n_groups * panels_per_task;
            self.run(
                tile..(tile + tiles_per_pass).min(self.rows.n),
                panel..(panel + panels_per_task).min(n_panels),
            );
        });
    }

    /// Computes the outputs of `tiles` by `panels`.
    fn run(&self, tiles: Range<usize>, panels: Range<usize>) {
        for k_from in (0..self.w.k()).step_by(K_BLOCK) {
            let k_to = (k_from + K_BLOCK).min(self.w.k());
            for panel in panels.clone() {
                self.run_panel(tiles.clone(), panel, k_from..k_to);
            }
        }
    }

    /// Passes the steps `steps` of one panel under each tile of `tiles`.
    fn run_panel(&self, tiles: Range<usize>, panel: usize, steps: Range<usize>) {
        let (n, k) = (self.w.n(), self.w.k());
        let block = &self.w.lines()[(panel * k + steps.start) * LINES..][..steps.len() * LINES];
        let b = block.as_ptr().cast::<f32>();
        let n_cols = (n - panel * LANES).min(LANES);
        for i in tiles.clone() {
            let rows = self.rows.rows(i);
            let a = &self.a[rows.start * k..rows.end * k];
            let mut tile = Tile {
                a: a[steps.start * rows.len()..].as_ptr(),
                b,
                k_len: steps.len(),
                out: self.out.0.wrapping_add(rows.start * n + panel * LANES),
                stride: n,
                resume: steps.start > 0,
                ahead: ahead(b, k, steps.len(), i - tiles.start, tiles.len()),
            };
            let kernel = self.isa.tile(rows.len());
            if n_cols == LANES {
                // SAFETY: the machine has the tile's instructions (`Isa::all`); `a` and `b` hold
                // k_len steps each, cut out by slice; the outputs are rows `rows` of the t rows
                // and 32 of the n columns, and nobody else writes them.
                unsafe { kernel(tile) };
                continue;
            }
            // The last panel is padded: its tile goes through a scratch, and back its real part.
            let mut scratch = [0.0f32; 14 * LANES];
            let out = (tile.out, tile.stride);
            (tile.out, tile.stride) = (scratch.as_mut_ptr(), LANES);
            for (r, row) in scratch.chunks_exact_mut(LANES).take(rows.len()).enumerate() {
                // SAFETY: row r of this tile, its n_cols real columns, inside the t * n outputs;
                // with `resume` an earlier block has written them.
                unsafe {
                    if tile.resume {
                        row.as_mut_ptr().copy_from(out.0.add(r * out.1), n_cols);
                    }
                }
            }
            // SAFETY: as above, but the outputs are the scratch, which holds 14 rows of 32.
            unsafe { kernel(tile) };
            for (r, row) in scratch.chunks_exact(LANES).take(rows.len()).enumerate() {
                // SAFETY: the same n_cols places of row r.
                unsafe { out.0.add(r * out.1).copy_from(row.as_ptr(), n_cols) };
            }
        }
    }
}

/// Where tile `i` of `n_tiles` looks ahead while it passes `k_len` steps of the panel at `b`.
///
/// A tile that is alone runs through fresh memory and looks some way down the same road: 8 rows
/// take 87 GFLOP/s instead of 64 a core. Where several tiles share a panel, the first two ask for
/// one half each of the next panel: 32 rows take 185 instead of 135.
fn ahead(b: *const f32, k: usize, k_len: usize, i: usize, n_tiles: usize) -> Ahead {
    let next = b.wrapping_add(k * LANES);
    let half = LANES / 2;
    match (n_tiles, i) {
        (1, _) => Ahead { from: b.wrapping_add(DISTANCE), step: LANES, also: half },
        (_, 0) => Ahead { from: next, step: half, also: 0 },
        (_, 1) => Ahead { from: next.wrapping_add(k_len * half), step: half, also: 0 },
        (_, _) => Ahead { from: b, step: 0, also: 0 },
    }
}

/// `ROWS` rows in 2 x `ROWS` registers of 16 lanes.
///
/// # Safety
/// The machine must have AVX-512F; `tile` must be as its fields say.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn tile_avx512<const ROWS: usize>(tile: Tile) {
    use std::arch::x86_64::*;
    let mut acc = [[_mm512_setzero_ps(); 2]; ROWS];
    // SAFETY: the caller vouches for `tile`: every access below is to step p < k_len of `a` and
    // `b`, or to row r < ROWS of `out`; a prefetch may have any address.
    unsafe {
        if tile.resume {
            for (r, acc) in acc.iter_mut().enumerate() {
                let out = tile.out.add(r * tile.stride);
                *acc = [_mm512_loadu_ps(out), _mm512_loadu_ps(out.add(16))];
            }
        }
        for p in 0..tile.k_len {
            let b = tile.b.add(p * LANES);
            let b = [_mm512_load_ps(b), _mm512_load_ps(b.add(16))];
            if ROWS > 1 {
                let ahead = tile.ahead.from.wrapping_add(p * tile.ahead.step);
                _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
                _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(tile.ahead.also).cast());
            }
            let a = tile.a.add(p * ROWS);
            for (r, acc) in acc.iter_mut().enumerate() {
                let a = _mm512_set1_ps(*a.add(r));
                acc[0] = _mm512_fmadd_ps(a, b[0], acc[0]);
                acc[1] = _mm512_fmadd_ps(a, b[1], acc[1]);
            }
        }
        for (r, acc) in acc.iter().enumerate() {
            let out = tile.out.add(r * tile.stride);
            _mm512_storeu_ps(out, acc[0]);
            _mm512_storeu_ps(out.add(16), acc[1]);
        }
    }
}

/// `ROWS` rows in 2 x `ROWS` registers of 8 lanes; the panel passes twice, a half at a time.
///
/// # Safety
/// The machine must have AVX2 and FMA; `tile` must be as its fields say.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn tile_avx2<const ROWS: usize>(tile: Tile) {
    use std::arch::x86_64::*;
    for half in [0, LANES / 2] {
        let mut acc = [[_mm256_setzero_ps(); 2]; ROWS];
        // SAFETY: the caller vouches for `tile`: every access below is to step p < k_len of `a`
        // and `b`, or to row r < ROWS of `out`; a prefetch may have any address.
        unsafe {
            if tile.resume {
                for (r, acc) in acc.iter_mut().enumerate() {
                    let out = tile.out.add(r * tile.stride + half);
                    *acc = [_mm256_loadu_ps(out), _mm256_loadu_ps(out.add(8))];
                }
            }
            for p in 0..tile.k_len {
                let b = tile.b.add(p * LANES + half);
                let b = [_mm256_load_ps(b), _mm256_load_ps(b.add(8))];
                if ROWS > 1 {
                    let ahead = tile.ahead.from.wrapping_add(p * tile.ahead.step);
                    _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
                    _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(tile.ahead.also).cast());
                }
                let a = tile.a.add(p * ROWS);
                for (r, acc) in acc.iter_mut().enumerate() {
                    let a = _mm256_set1_ps(*a.add(r));
                    acc[0] = _mm256_fmadd_ps(a, b[0], acc[0]);
                    acc[1] = _mm256_fmadd_ps(a, b[1], acc[1]);
                }
            }
            for (r, acc) in acc.iter().enumerate() {
                let out = tile.out.add(r * tile.stride + half);
                _mm256_storeu_ps(out, acc[0]);
                _mm256_storeu_ps(out.add(8), acc[1]);
            }
        }
    }
}

/// `ROWS` rows for any machine. Fast where the compiler has a fused multiply-add (aarch64);
/// elsewhere it is a call each, slow but with the same bits.
///
/// # Safety
/// `tile` must be as its fields say.
unsafe fn tile_plain<const ROWS: usize>(tile: Tile) {
    let mut acc = [[0.0f32; LANES]; ROWS];
    // SAFETY: the caller vouches for `tile`: these are its k_len steps of `a` and `b`.
    let (a, b) = unsafe {
        (
            std::slice::from_raw_parts(tile.a, tile.k_len * ROWS),
            std::slice::from_raw_parts(tile.b, tile.k_len * LANES),
        )
    };
    for (r, acc) in acc.iter_mut().enumerate().filter(|_| tile.resume) {
        // SAFETY: row r < ROWS of the outputs, written by an earlier block.
        unsafe { acc.as_mut_ptr().copy_from(tile.out.add(r * tile.stride), LANES) };
    }
    for (a, b) in a.chunks_exact(ROWS).zip(b.chunks_exact(LANES)) {
        for (acc, &a) in acc.iter_mut().zip(a) {
            for (acc, &b) in acc.iter_mut().zip(b) {
                *acc = a.mul_add(b, *acc);
            }
        }
    }
    for (r, acc) in acc.iter().enumerate() {
        // SAFETY: row r < ROWS of the outputs.
        unsafe { tile.out.add(r * tile.stride).copy_from(acc.as_ptr(), LANES) };
    }
}
