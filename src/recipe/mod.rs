//! From a recipe file to checked values.
//!
//! The whole recipe is checked before any weight is read. It must not know how a step runs.

mod faults;
pub mod spec;

pub use faults::{Fault, Faults};
