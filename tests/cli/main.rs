//! Stories about the binary: what a user types, what comes back, and what is on disk afterwards.

mod bad_data;
mod bad_models;
mod bad_recipes;
mod export;
mod lint;
mod runs;
mod stats;
mod still;
mod words;
