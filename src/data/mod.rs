//! Rows, the files they come from, the journal that keeps them and the data set they become.
//!
//! It must not know models, tokens or recipes.

pub mod dataset;
pub mod disk;
pub mod dropped;
pub mod export;
pub mod folder;
pub mod journal;
pub mod lines;
pub mod lint;
pub mod read;
pub mod row;
pub mod spool;
