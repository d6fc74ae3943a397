//! From planned sequences to the plain arrays that a forward reads.

use stillroom_kernels::paged::{BLOCK, Batch};

use super::sequence::Sequence;

/// Fills `batch` with the scheduled rows; its memory is used again from step to step.
///
/// # Panics
/// When a number does not fit the device's 32 bits: the limits are wrong.
pub(super) fn fill<'a>(batch: &mut Batch, scheduled: impl Iterator<Item = &'a Sequence> + Clone) {
    batch.tokens.clear();
    batch.positions.clear();
    batch.slots.clear();
    batch.starts.clear();
    batch.contexts.clear();
    batch.tables.clear();
    batch.sample_rows.clear();
    batch.table_width = scheduled.clone().map(n_context_blocks).max().unwrap_or(0);
    for sequence in scheduled {
        let first = sequence.n_computed;
        let n_context = first + sequence.n_scheduled;
        batch.starts.push(narrow(batch.tokens.len()));
        batch.contexts.push(narrow(n_context));
        batch.tokens.extend(sequence.scheduled());
        batch.positions.extend(narrow(first)..narrow(n_context));
        batch.slots.extend((first..n_context).map(|position| {
            sequence.blocks[position / BLOCK].0 * narrow(BLOCK) + narrow(position % BLOCK)
        }));
        let table_end = batch.tables.len() + batch.table_width;
        let table = &sequence.blocks[..n_context_blocks(sequence)];
        batch.tables.extend(table.iter().map(|block| block.0));
        batch.tables.resize(table_end, 0);
        let n_rows = batch.tokens.len();
        batch.sample_rows.extend(narrow(n_rows - sequence.n_sampled())..narrow(n_rows));
    }
    batch.starts.push(narrow(batch.tokens.len()));
}

fn n_context_blocks(sequence: &Sequence) -> usize {
    (sequence.n_computed + sequence.n_scheduled).div_ceil(BLOCK)
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).expect("rows, positions and slots fit 32 bits")
}
