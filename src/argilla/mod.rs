//! A data set and its records in Argilla, over version 2 of its REST protocol.
//!
//! What the server would refuse is found here first, record by record; of a batch that it refuses
//! all the same, the bad record is found and told alone. Limits and answers are those of
//! argilla-server 2.8.0, as its schemas, validators and policies have them. It must not know rows,
//! steps or runs.

#[cfg_attr(not(feature = "hub"), expect(dead_code, reason = "only what sends needs it all"))]
mod access;
#[cfg(feature = "hub")]
mod answers;
#[cfg(feature = "hub")]
mod client;
#[cfg(feature = "hub")]
mod dataset;
#[cfg_attr(not(feature = "hub"), expect(dead_code, reason = "only what sends needs it all"))]
mod record;
#[cfg_attr(not(feature = "hub"), expect(dead_code, reason = "only what sends needs it all"))]
mod settings;
#[cfg(all(test, feature = "hub"))]
mod tests;
#[cfg(feature = "hub")]
mod upsert;

pub(crate) use access::{ADDRESS_HINT, address_fault};
pub use access::{ArgillaAccess, ArgillaServer};
#[cfg(feature = "hub")]
pub(crate) use answers::{Answers, Response, read as read_answers};
#[cfg(feature = "hub")]
pub(crate) use client::Client;
#[cfg(feature = "hub")]
pub(crate) use dataset::{Dataset, Place};
pub use record::{Fault, Record, Suggestion, Value, agent};
pub use settings::{Field, Property, PropertyKind, Question, QuestionKind, Settings};
#[cfg(feature = "hub")]
pub(crate) use upsert::Upserts;

/// Most records of one call.
pub const N_BATCH_MAX: usize = 500;
