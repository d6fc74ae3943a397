//! The pipeline through its door, on models that answer at once.

mod figures;
mod flow;
mod folder;
mod html;
mod instant;
mod page;
mod real;
mod resume;
mod support;
