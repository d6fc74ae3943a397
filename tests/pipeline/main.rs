//! The pipeline through its door, on models that answer at once.

mod figures;
mod filters;
mod flow;
mod folder;
mod html;
mod instant;
mod nasty;
mod page;
mod peer_faults;
mod peer_judgements;
mod real;
mod resume;
mod support;
