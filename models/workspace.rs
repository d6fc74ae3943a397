//! What a step takes beside weights and KV memory, measured by running one.
//!
//! Activations, scores, logits, the draw and what libraries keep for themselves: a formula would
//! have to know every op and every library. Must not know what the answer is for.

use candle_core::Result;
use stillroom_kernels::paged::{BLOCK, Batch};
use stillroom_kernels::sample::{RowParams, SampleError, sample};

use crate::device::peak_bytes;
use crate::{Decoder, Model};

/// Bytes at the peak of a step of `n_rows` rows that `n_sequences` sequences share, each of which
/// draws a token. `None` where the device cannot be asked: then nothing is run.
///
/// # Errors
/// When the device fails, above all when it has not that much memory.
pub fn workspace_bytes(model: &Decoder, n_sequences: usize, n_rows: usize) -> Result<Option<u64>> {
    let batch = fresh_batch(n_sequences, n_rows, model.max_context());
    let n_blocks = batch.n_sequences() * batch.table_width;
    peak_bytes(
        model.device(),
        || Ok((model.new_kv(n_blocks)?, batch)),
        |(mut kv, batch)| {
            let logits = model.forward(&batch, &mut kv)?;
            match sample(&logits, &vec![RowParams::default(); batch.sample_rows.len()]) {
                Err(SampleError::Tensor(error)) => Err(error),
                // Logits that are no numbers take as much memory; a request is told of them.
                Ok(_) | Err(SampleError::NotANumber { .. } | SampleError::NothingLeft { .. }) => {
                    Ok(logits)
                }
            }
        },
    )
}

/// Sequences that begin with this step, as equal in length as they can be.
fn fresh_batch(n_sequences: usize, n_rows: usize, max_context: usize) -> Batch {
    let n_sequences = n_sequences.clamp(1, n_rows);
    let length =
        |j: usize| (n_rows / n_sequences + usize::from(j < n_rows % n_sequences)).min(max_context);
    let table_width = length(0).div_ceil(BLOCK);
    let mut batch = Batch { table_width, starts: vec![0], ..Batch::default() };
    let narrow = |n: usize| u32::try_from(n).expect("a step has fewer rows");
    for j in 0..n_sequences {
        let first_block = j * table_width;
        for position in 0..length(j) {
            batch.tokens.push(0);
            batch.positions.push(narrow(position));
            batch.slots.push(narrow(first_block * BLOCK + position));
        }
        batch.contexts.push(narrow(length(j)));
        batch.tables.extend((first_block..first_block + table_width).map(narrow));
        batch.starts.push(narrow(batch.tokens.len()));
        batch.sample_rows.push(narrow(batch.tokens.len() - 1));
    }
    batch
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_batch_has_the_rows_that_were_asked_for() {
        for (n_sequences, n_rows) in [(1, 1), (3, 100), (256, 8192), (7, 3)] {
            let batch = fresh_batch(n_sequences, n_rows, 4096);
            assert_eq!(batch.n_tokens(), n_rows);
            assert_eq!(batch.sample_rows.len(), n_sequences.min(n_rows));
            // The upload checks what every op relies on.
            batch.upload(&Device::Cpu).unwrap();
            let mut slots = batch.slots.clone();
            slots.sort_unstable();
            slots.dedup();
            assert_eq!(slots.len(), n_rows, "no slot twice");
        }
        assert_eq!(fresh_batch(1, 8192, 2048).n_tokens(), 2048, "no longer than the model allows");
    }
}
