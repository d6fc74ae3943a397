//! How much of everything: the limits of one engine.
//!
//! The pool's size comes from bytes that the caller measured; this file turns them into blocks
//! and holds the limits together. It must not ask the machine.

use stillroom_kernels::paged::{BLOCK, KvShape};

use crate::{Error, Result};

/// The limits of one engine, set once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineLimits {
    /// Most sequences in one step.
    pub n_sequences_max: usize,
    /// Most rows in one step, decodes and prefill chunks together.
    pub n_step_tokens_max: usize,
    /// Blocks of KV memory.
    pub n_blocks: usize,
    /// Admission reserves blocks for this percentile of finished lengths, below 100. A low one
    /// packs more sequences in and pays with preemptions; 0 reserves only the next token.
    pub length_percentile: usize,
}

impl EngineLimits {
    /// Limits for a processor: it is busy with a few dozen rows, and a step should stay short
    /// enough to show progress.
    ///
    /// # Errors
    /// When `kv_bytes` do not hold one block.
    pub fn for_cpu(shape: &KvShape, max_context: usize, kv_bytes: usize) -> Result<Self> {
        Self::within(shape, max_context, kv_bytes, (32, 512))
    }

    /// Limits for a graphics card: the weights are read once for all rows, so that a large step
    /// costs hardly more than a small one.
    ///
    /// # Errors
    /// When `kv_bytes` do not hold one block.
    pub fn for_gpu(shape: &KvShape, max_context: usize, kv_bytes: usize) -> Result<Self> {
        Self::within(shape, max_context, kv_bytes, (256, 8192))
    }

    fn within(
        shape: &KvShape,
        max_context: usize,
        kv_bytes: usize,
        (n_sequences_max, n_step_tokens_max): (usize, usize),
    ) -> Result<Self> {
        let n_affordable = kv_bytes / shape.block_bytes();
        if n_affordable == 0 {
            return Err(Error::environment(
                format!(
                    "{kv_bytes} bytes of KV memory hold no block of {} bytes",
                    shape.block_bytes()
                ),
                "free some memory, or use a smaller or quantised model",
            ));
        }
        // More than every sequence at its longest can never be used.
        let n_useful = n_sequences_max * max_context.div_ceil(BLOCK);
        let limits = Self {
            n_sequences_max,
            n_step_tokens_max,
            n_blocks: n_affordable.min(n_useful),
            length_percentile: 90,
        };
        limits.expect_sound();
        Ok(limits)
    }

    /// These limits with at most half of `n_rows` rows in a step, but no fewer than a decode of
    /// every sequence takes; `None` when that is no less than now.
    pub fn narrowed(self, n_rows: usize) -> Option<Self> {
        let half = (n_rows.min(self.n_step_tokens_max) / 2).max(self.n_sequences_max);
        (half < self.n_step_tokens_max).then_some(Self { n_step_tokens_max: half, ..self })
    }

    /// # Panics
    /// When the limits contradict each other.
    pub fn expect_sound(&self) {
        assert!(self.n_sequences_max > 0, "an engine without sequences");
        assert!(self.n_blocks > 0, "an engine without KV memory");
        assert!(
            self.n_step_tokens_max >= self.n_sequences_max,
            "a step of {} rows cannot hold a decode of each of {} sequences",
            self.n_step_tokens_max,
            self.n_sequences_max,
        );
        assert!(self.length_percentile < 100, "percentile {}", self.length_percentile);
        let n_slots = self.n_blocks.checked_mul(BLOCK);
        assert!(
            n_slots.is_some_and(|n| u32::try_from(n).is_ok()),
            "{} blocks have more slots than a slot number can name",
            self.n_blocks,
        );
    }

    /// Blocks that `n_tokens` tokens fill.
    pub fn blocks_for(n_tokens: usize) -> usize {
        n_tokens.div_ceil(BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;

    const SHAPE: KvShape = KvShape { n_layers: 2, n_kv_heads: 2, head_dim: 8, dtype: DType::F32 };

    #[test]
    fn a_step_is_halved_down_to_its_decodes() {
        let limits = EngineLimits::for_gpu(&SHAPE, 64, 1 << 20).unwrap();
        let steps = |n_rows: usize| limits.narrowed(n_rows).map(|now| now.n_step_tokens_max);
        assert_eq!([steps(8192), steps(3000), steps(10)], [Some(4096), Some(1500), Some(256)]);
        let narrow = EngineLimits { n_step_tokens_max: 256, ..limits };
        assert_eq!(narrow.narrowed(256), None);
    }

    #[test]
    fn bytes_become_blocks() {
        let bytes = 2 * 2 * 32 * 2 * 8 * 4;
        assert_eq!(SHAPE.block_bytes(), bytes);
        assert_eq!(EngineLimits::for_cpu(&SHAPE, 2048, 10 * bytes + 1).unwrap().n_blocks, 10);
        assert_eq!(EngineLimits::for_cpu(&SHAPE, 64, 1000 * bytes).unwrap().n_blocks, 64);
        let error = EngineLimits::for_gpu(&SHAPE, 64, bytes - 1).unwrap_err();
        assert!(error.to_string().contains("8192 bytes"), "{error}");
    }
}
