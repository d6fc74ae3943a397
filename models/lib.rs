//! From a checkpoint to logits: config, weights, the decoder, and seeded tiny checkpoints.
//!
//! This crate knows no queue, no text and no judge, and reads no clock, no environment and no
//! stdout. Only the loader touches files.

pub mod config;
pub mod demo;
pub mod device;
pub mod error;
pub mod stored;
pub mod tiny;

mod ahead;
mod card;
mod copy;
mod decoder;
mod draft;
mod files;
mod key;
mod layout;
mod load;
mod place;
mod weights;
mod workspace;

use candle_core::{Result, Tensor};
use stillroom_kernels::paged::{Batch, KvPool, KvShape};

pub use ahead::ReadAhead;
pub use card::{Card, inspect};
pub use config::ModelConfig;
pub use copy::CopyCache;
pub use decoder::Decoder;
pub use device::device;
pub use error::Error;
pub use files::{Files, Inside};
pub use key::ModelKey;
pub use load::{Estimate, LoadOptions, Loaded, estimate, load};
pub use place::Progress;
pub use stillroom_kernels::linear::Quant;
pub use workspace::workspace_bytes;

/// A decoder that turns one ragged batch into logits. It does not know prefill from decode.
///
/// Two users keep it a trait: the [`Decoder`] and the fake model of the engine's simulation.
pub trait Model: Send {
    /// Number of logits in a row. A tokenizer with more ids than this does not fit the model.
    fn vocab_size(&self) -> usize;

    /// Longest sequence, in tokens, that the positions were made for.
    fn max_context(&self) -> usize;

    /// What one block of this model's KV memory looks like.
    fn kv_shape(&self) -> KvShape;

    /// Allocates KV memory of `n_blocks` blocks on the model's device.
    ///
    /// # Errors
    /// When the device has not enough memory.
    fn new_kv(&self, n_blocks: usize) -> Result<KvPool>;

    /// Runs one forward, writing the batch's keys and values into `kv`.
    ///
    /// Returns logits `[s, v]` of the type that the model computes in, one row for each of
    /// `batch.sample_rows`, in their order.
    ///
    /// # Errors
    /// When a tensor operation fails.
    fn forward(&self, batch: &Batch, kv: &mut KvPool) -> Result<Tensor>;
}
