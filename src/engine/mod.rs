//! The engine: token ids in; token ids, log-probabilities and a reason out.
//!
//! It must not know text, prompts or paths. It has no threads, no locks and no clock of its own.

pub mod guide;
pub mod request;
