//! Ragged batches for tests.

use stillroom_kernels::paged::{BLOCK, Batch};

use crate::noise::Noise;

/// A batch of sequences `(tokens in KV before, rows)` whose blocks lie anywhere in the pool.
pub(crate) fn ragged(noise: &mut Noise, sequences: &[(usize, usize)], n_blocks: usize) -> Batch {
    let mut free = noise.shuffled(n_blocks);
    let table_width = sequences.iter().map(|(past, rows)| (past + rows).div_ceil(BLOCK)).max();
    let mut batch = Batch { table_width: table_width.unwrap(), ..Batch::default() };
    batch.starts.push(0);
    for &(past, rows) in sequences {
        let context = past + rows;
        let mut table = free.split_off(free.len() - context.div_ceil(BLOCK));
        for position in past..context {
            let slot = table[position / BLOCK] as usize * BLOCK + position % BLOCK;
            batch.tokens.push(0);
            batch.positions.push(position as u32);
            batch.slots.push(slot as u32);
        }
        batch.starts.push(batch.tokens.len() as u32);
        batch.contexts.push(context as u32);
        table.resize(batch.table_width, 0);
        batch.tables.extend(table);
    }
    batch
}
