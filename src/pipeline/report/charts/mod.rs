//! Small charts as inline SVG, one file a kind.
//!
//! All share one size, so that their letters are as large on a phone as on a desk: the page lays
//! more of them side by side instead of drawing them larger. Colours are classes, which the page's
//! style sheet fills for light and dark. Everything that comes from data is escaped here.

mod columns;
mod histogram;
mod plot;
mod ranges;
mod scatter;
mod survival;

pub(super) use columns::{Column, columns};
pub(super) use histogram::{Histogram, histogram};
pub(super) use ranges::{Range, Ranges, ranges};
pub(super) use scatter::{Scatter, scatter};
pub(super) use survival::survival;
