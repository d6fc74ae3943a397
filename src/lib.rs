//! stillroom distils preference data under one's own roof: prompts go in, local models answer, a
//! local model judges, pairs come out.
//!
//! # Layout
//!
//! Four floors; imports go down only, and a test holds them.
//!
//! | floor | rooms |
//! |---|---|
//! | 4 | [`cli`] |
//! | 3 | [`pipeline`] |
//! | 2 | [`llm`], [`recipe`] |
//! | 1 | [`engine`], [`text`], [`data`], [`hub`] and [`argilla`] over [`web`] |

pub mod argilla;
pub mod cli;
pub mod data;
pub mod engine;
mod error;
pub mod hub;
pub mod llm;
pub mod pipeline;
pub mod recipe;
pub mod text;
pub mod web;

pub use error::{Error, Result};
