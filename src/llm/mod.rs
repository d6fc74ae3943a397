//! A model that takes messages and gives text: text and engine joined.
//!
//! It must not know rows, steps or a recipe's flow. Everything is synchronous: `submit` queues,
//! `step` runs one forward and returns what finished, so that who shares a batch is a function of
//! what was submitted and in which order, never of timing.

mod door;
mod fit;
mod folder;
mod guides;
mod local;
mod source;

pub use door::{Answer, Ask, Door, Options, Refusal};
pub use fit::affordable;
pub use folder::{ModelFolder, Needs, expect_room, load_fault, mib, way_out};
pub use local::{Llm, Voice};
pub use source::{demo, tiny};
