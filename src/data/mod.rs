//! Rows, the files they come from, the journal that keeps them and the data set they become.
//!
//! It must not know models, tokens or recipes.

pub mod row;
