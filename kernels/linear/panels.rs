//! The packed f32 weight of the CPU path: `[ceil(n / LANES), k, LANES]`, column panels that a
//! product reads strictly forward, once a pass.
//!
//! A panel holds [`LANES`] rows of the checkpoint's `[n, k]` matrix, transposed, so that one step
//! over `k` is two cache lines in a row and feeds `LANES` outputs. The last panel is padded with
//! zero rows. Rows are appended tensor by tensor, so packing needs the packed copy and one source
//! tensor, never two whole matrices. Must not know who asks for the product.

use super::rows::Rows;
use candle_core::{Result, bail};
use rayon::prelude::*;

/// Outputs in one panel: two 512-bit vectors, four of 256 bits.
pub(super) const LANES: usize = 32;

/// Lines that one step over `k` takes.
pub(super) const LINES: usize = LANES / 16;

/// Columns transposed at a time: the patch of 32 rows is 2 KiB and stays in L1.
const PATCH: usize = 16;

/// One cache line. Its alignment keeps every vector load of a panel inside one line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [f32; 16]);

/// An `[n, k]` f32 matrix in panels.
pub struct Panels {
    lines: Vec<Line>,
    n: usize,
    k: usize,
}

impl std::fmt::Debug for Panels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Panels[{}, {}]", self.n, self.k)
    }
}

impl Panels {
    /// No rows yet, room for `n` of them, `k` wide.
    pub(super) fn with_capacity(n: usize, k: usize) -> Self {
        Self { lines: Vec::with_capacity(n.div_ceil(LANES) * k * LINES), n: 0, k }
    }

    /// Rows of the matrix.
    pub(super) fn n(&self) -> usize {
        self.n
    }

    /// Width of a row.
    pub(super) fn k(&self) -> usize {
        self.k
    }

    /// Number of panels, the last one padded.
    pub(super) fn n_panels(&self) -> usize {
        self.n.div_ceil(LANES)
    }

    /// All panels, one after the other, `k * LINES` lines each.
    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Appends whole rows of `k` elements.
    pub(super) fn push(&mut self, rows: Rows<'_>) {
        match rows {
            Rows::F32(rows) => self.push_rows(rows),
            Rows::F16(rows) => self.push_rows(rows),
            Rows::Bf16(rows) => self.push_rows(rows),
        }
    }

    fn push_rows<T: Copy + Sync>(&mut self, rows: &[T])
    where
        f32: From<T>,
    {
        let (k, first) = (self.k, self.n);
        self.n += rows.len() / k;
        let end = self.n;
        self.lines.resize(self.n_panels() * k * LINES, Line([0.0; 16]));
        let first_panel = first / LANES;
        let open = &mut self.lines[first_panel * k * LINES..];
        open.par_chunks_mut(k * LINES).enumerate().for_each(|(i, panel)| {
            let panel_row = (first_panel + i) * LANES;
            let (from, to) = (panel_row.max(first), (panel_row + LANES).min(end));
            let source = &rows[(from - first) * k..(to - first) * k];
            transpose(panel, from - panel_row, source, k);
        });
    }

    /// Rows `tokens` as `[tokens, k]`; a row is one element from each step of its panel.
    pub(super) fn gather(&self, tokens: &[u32]) -> Result<Vec<f32>> {
        let mut out = vec![0.0; tokens.len() * self.k];
        for (&token, row) in tokens.iter().zip(out.chunks_exact_mut(self.k)) {
            let token = token as usize;
            if token >= self.n {
                bail!("token {token} lies outside a table of {} rows", self.n);
            }
            let (panel, lane) = (token / LANES, token % LANES);
            let panel = &self.lines[panel * self.k * LINES..][..self.k * LINES];
            for (value, step) in row.iter_mut().zip(panel.chunks_exact(LINES)) {
                *value = step[lane / 16].0[lane % 16];
            }
        }
        Ok(out)
    }
}

/// Writes the rows of `source` into lanes `lane..` of one panel, a patch of columns at a time.
fn transpose<T: Copy>(panel: &mut [Line], lane: usize, source: &[T], k: usize)
where
    f32: From<T>,
{
    for from in (0..k).step_by(PATCH) {
        let to = (from + PATCH).min(k);
        let patch = &mut panel[from * LINES..to * LINES];
        for (r, row) in source.chunks_exact(k).enumerate() {
            let (line, place) = ((lane + r) / 16, (lane + r) % 16);
            for (step, &value) in patch.chunks_exact_mut(LINES).zip(&row[from..to]) {
                step[line].0[place] = f32::from(value);
            }
        }
    }
}
