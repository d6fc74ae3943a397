//! Text on its way to token ids and back.
//!
//! It must not know the engine, models or files other than a tokenizer's own.

pub mod chat;
pub mod guides;
