//! Attention in candle ops, for any device and float type; scores and sums are f32.
//!
//! Blocks are gathered into dense keys and values, and masked matmuls do the rest. Rows that need
//! matrices of the same shape are computed together: all decodes of about the same length in one
//! group, a prefill chunk in pieces that bound the scores' memory. The price against a fused
//! kernel is the gathered copy of keys and values for every layer.
//!
//! Padding reads block 0 and is masked after the product, so the pool must hold finite numbers
//! everywhere: it is zeroed when made, and a run stops at its first NaN.

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::{D, DType, Device, Result, Tensor};

use super::Attend;
use crate::paged::{BLOCK, Batch, BatchOn, KvLayer};

/// Most rows of one sequence in one piece.
const PIECE_ROWS_MAX: usize = 256;
/// Most scores of one head in one group; 32 heads then hold 128 MiB of them.
const GROUP_SCORES_MAX: usize = 1 << 20;
/// Most tokens whose keys and values are gathered at once, unless one sequence has more.
const GROUP_KEYS_MAX: usize = 1 << 15;

/// What portable attention gathers in one forward, the same for all layers of one window.
#[derive(Debug)]
pub(crate) struct Gather {
    window: Option<usize>,
    groups: Vec<Group>,
    /// `[t]` u32: where each row of the batch lies in the groups' rows, joined.
    order: Tensor,
}

/// Pieces whose matrices have the same shape.
#[derive(Debug)]
struct Group {
    /// Pieces in this group, `g`.
    n_pieces: usize,
    /// Query rows of each piece.
    n_rows: usize,
    /// Keys gathered for each piece, a multiple of [`BLOCK`].
    n_keys: usize,
    /// `[g * n_rows]` u32 rows of the batch.
    rows: Tensor,
    /// `[g * n_keys / BLOCK]` u32 blocks.
    blocks: Tensor,
    /// `[g, 1, n_rows, n_keys]` f32: 0 where a row sees a key, else minus infinity.
    mask: Tensor,
}

/// Neighbouring rows of one sequence and the blocks that they see.
struct Piece {
    sequence: usize,
    rows: Range<usize>,
    blocks: Range<usize>,
}

/// See [`paged_attention`](super::paged_attention); shapes are checked there.
///
/// # Errors
/// When a candle op fails.
pub fn paged_attention(
    q: &Tensor,
    layer: &KvLayer,
    batch: &BatchOn<'_>,
    attend: Attend,
) -> Result<Tensor> {
    let (t, hq, d) = q.dims3()?;
    let made;
    let gather = match batch.gather.get() {
        Some(gather) if gather.window == attend.window => gather,
        Some(_) => {
            made = Gather::plan(batch.host, attend, q.device())?;
            &made
        }
        None => {
            made = Gather::plan(batch.host, attend, q.device())?;
            batch.gather.get_or_init(|| made)
        }
    };
    let outs: Vec<Tensor> = gather
        .groups
        .iter()
        .map(|group| group.attention(q, layer, attend.scale))
        .collect::<Result<_>>()?;
    if outs.is_empty() {
        return Tensor::zeros((t, hq * d), q.dtype(), q.device());
    }
    Tensor::cat(&outs, 0)?.index_select(&gather.order, 0)?.to_dtype(q.dtype())
}

impl Group {
    /// `[g * n_rows, hq * d]` f32.
    fn attention(&self, q: &Tensor, layer: &KvLayer, scale: f32) -> Result<Tensor> {
        let (_, _, hkv, d) = layer.k.dims4()?;
        let hq = q.dim(1)?;
        let (g, n_rows, n_keys) = (self.n_pieces, self.n_rows, self.n_keys);
        let q = q
            .index_select(&self.rows, 0)?
            .to_dtype(DType::F32)?
            .reshape((g, n_rows, hq, d))?
            .transpose(1, 2)?
            .contiguous()?
            .reshape((g, hkv, hq / hkv * n_rows, d))?;
        let dense = |pool: &Tensor| {
            pool.index_select(&self.blocks, 0)?
                .reshape((g, n_keys, hkv, d))?
                .transpose(1, 2)?
                .contiguous()?
                .to_dtype(DType::F32)
        };
        let (k, v) = (dense(&layer.k)?, dense(&layer.v)?);

        let scores = (q.matmul(&k.transpose(2, 3)?.contiguous()?)? * f64::from(scale))?;
        let scores = scores.reshape((g, hq, n_rows, n_keys))?.broadcast_add(&self.mask)?;
        let top = scores.max_keepdim(D::Minus1)?;
        let weights = scores.broadcast_sub(&top)?.exp()?;
        let total = weights.sum_keepdim(D::Minus1)?;
        let weights = weights.reshape((g, hkv, hq / hkv * n_rows, n_keys))?;
        let out = weights.matmul(&v)?.reshape((g, hq, n_rows, d))?.broadcast_div(&total)?;
        out.transpose(1, 2)?.contiguous()?.reshape((g * n_rows, hq * d))
    }
}

impl Gather {
    fn plan(batch: &Batch, attend: Attend, device: &Device) -> Result<Self> {
        let mut by_shape: BTreeMap<(usize, usize), Vec<Piece>> = BTreeMap::new();
        for piece in pieces(batch, attend) {
            let n_keys = padded(piece.blocks.len()) * BLOCK;
            by_shape.entry((piece.rows.len(), n_keys)).or_default().push(piece);
        }
        let mut groups = Vec::new();
        let mut rows_joined = Vec::with_capacity(batch.n_tokens());
        for ((n_rows, n_keys), pieces) in by_shape {
            let n_pieces_max = GROUP_KEYS_MAX / n_keys;
            let n_pieces_max = n_pieces_max.min(GROUP_SCORES_MAX / (n_rows * n_keys)).max(1);
            for pieces in pieces.chunks(n_pieces_max) {
                rows_joined.extend(pieces.iter().flat_map(|piece| piece.rows.clone()));
                groups.push(Group::plan(pieces, n_keys, batch, attend, device)?);
            }
        }
        let mut order = vec![0u32; batch.n_tokens()];
        for (place, row) in (0..).zip(rows_joined) {
            order[row] = place;
        }
        let order = Tensor::from_vec(order, batch.n_tokens(), device)?;
        Ok(Self { window: attend.window, groups, order })
    }
}

impl Group {
    fn plan(
        pieces: &[Piece],
        n_keys: usize,
        batch: &Batch,
        attend: Attend,
        device: &Device,
    ) -> Result<Self> {
        let n_rows = pieces[0].rows.len();
        let mut rows = Vec::new();
        let mut blocks = Vec::new();
        let mut mask = Vec::with_capacity(pieces.len() * n_rows * n_keys);
        for piece in pieces {
            rows.extend(piece.rows.clone().map(|row| row as u32));
            blocks.extend_from_slice(&batch.table(piece.sequence)[piece.blocks.clone()]);
            blocks.resize(rows.len() / n_rows * n_keys / BLOCK, 0);
            for row in piece.rows.clone() {
                let position = batch.positions[row] as usize;
                let seen = attend.first_seen(position)..position + 1;
                let first_key = piece.blocks.start * BLOCK;
                let keys = first_key..first_key + n_keys;
                mask.extend(
                    keys.map(|key| if seen.contains(&key) { 0.0 } else { f32::NEG_INFINITY }),
                );
            }
        }
        let n_pieces = pieces.len();
        Ok(Self {
            n_pieces,
            n_rows,
            n_keys,
            rows: Tensor::from_vec(rows, n_pieces * n_rows, device)?,
            blocks: Tensor::from_vec(blocks, n_pieces * n_keys / BLOCK, device)?,
            mask: Tensor::from_vec(mask, (n_pieces, 1, n_rows, n_keys), device)?,
        })
    }
}

fn pieces(batch: &Batch, attend: Attend) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for sequence in 0..batch.n_sequences() {
        let context = batch.contexts[sequence] as usize;
        let step = (GROUP_SCORES_MAX / context.max(1)).clamp(1, PIECE_ROWS_MAX);
        let rows = batch.rows(sequence);
        for start in rows.clone().step_by(step) {
            let rows = start..rows.end.min(start + step);
            let first_key = attend.first_seen(batch.positions[start] as usize);
            let last_key = batch.positions[rows.end - 1] as usize;
            let blocks = first_key / BLOCK..last_key / BLOCK + 1;
            pieces.push(Piece { sequence, rows, blocks });
        }
    }
    pieces
}

/// Rounds a number of blocks up, by less than a quarter, so that sequences of about the same
/// length share a group.
fn padded(n_blocks: usize) -> usize {
    n_blocks.next_multiple_of((n_blocks / 8).next_power_of_two())
}
