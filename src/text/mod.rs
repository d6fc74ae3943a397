//! Text on its way to token ids and back, and whether two texts say the same.
//!
//! It must not know the engine, models or files other than a tokenizer's own.

pub mod chat;
pub mod detok;
pub mod guides;
mod json;
pub mod near;
mod pieces;
pub mod stop;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod tokenizer;
