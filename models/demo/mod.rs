//! The demo family: three small models that were trained here, on exercises that this code writes.
//!
//! So the first run needs nothing else on the disk and still gives pairs that mean something:
//! answers that can be right or wrong, by a checker that no model sees. It must not know prompts;
//! the trainer (`examples/train_demo`) puts lessons into the pipeline's own.

pub mod answer;
pub mod dice;
pub mod exercise;
pub mod family;
mod forms;
pub mod topic;
pub mod verdict;
pub mod working;
