//! The engine, tested through its door.
//!
//! | file | what it holds |
//! |---|---|
//! | `equal` | real models: batched, chunked, cached and preempted equal alone, to the bit |
//! | `fake` | a model whose logits are a hash of what it reads back from KV memory |
//! | `script` | guides made from a seed |
//! | `oracle` | the same answers, one request at a time, without an engine |
//! | `scheduler` | properties of the scheduler by itself |
//! | `simulate` | seeded runs: pressure, twins, pins, guides, cancels; integrity after each step |
//! | `stories` | one behaviour each |

mod equal;
mod fake;
mod oracle;
mod scheduler;
mod script;
mod simulate;
mod stories;
