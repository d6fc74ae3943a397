//! The pipeline through its door, on models that answer at once.

mod filters;
mod flow;
mod instant;
mod real;
mod resume;
mod support;
