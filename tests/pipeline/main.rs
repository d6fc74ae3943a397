//! The pipeline through its door, on models that answer at once.

mod filters;
mod flow;
mod instant;
mod nasty;
mod peer_faults;
mod real;
mod resume;
mod support;
