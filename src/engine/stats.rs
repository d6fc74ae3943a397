//! What the engine did, in counts.
//!
//! Times are the caller's business: the engine has no clock.

/// Counts since the engine was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Forwards.
    pub n_steps: u64,
    /// Sequences over all steps.
    pub n_sequence_steps: u64,
    /// Rows that were one of several of their sequence: prompts, forced text, recomputed tokens.
    pub n_prefill_tokens: u64,
    /// Rows that were their sequence's only one.
    pub n_decode_tokens: u64,
    /// Prompt tokens of all requests that were admitted.
    pub n_prompt_tokens: u64,
    /// Those of them that the prefix cache held.
    pub n_cached_tokens: u64,
    /// Sequences that lost their blocks to an older one.
    pub n_preemptions: u64,
    /// Tokens whose keys and values had to be computed again after a preemption.
    pub n_recomputed_tokens: u64,
    /// Times that a step was too large for the device and was made smaller.
    pub n_narrowed: u64,
    /// Sequences that were finished.
    pub n_finished: u64,
    /// Tokens of their completions.
    pub n_generated_tokens: u64,
    /// Most blocks ever held at once.
    pub n_blocks_peak: usize,
}

impl Stats {
    /// Sequences per step.
    pub fn mean_batch(&self) -> f64 {
        ratio(self.n_sequence_steps, self.n_steps)
    }

    /// Share of the prompt tokens that the prefix cache held.
    pub fn hit_rate(&self) -> f64 {
        ratio(self.n_cached_tokens, self.n_prompt_tokens)
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
