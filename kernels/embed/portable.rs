//! `embed` by candle's own lookup, on any device.

use candle_core::{Result, Tensor};

/// Rows `tokens` `[t]` of `table` `[v, h]`, as stored.
///
/// # Errors
/// When a token lies outside the table (on CPU).
pub fn gather(table: &Tensor, tokens: &Tensor) -> Result<Tensor> {
    table.index_select(tokens, 0)
}
