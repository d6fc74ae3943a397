//! Every op against its plain reference, on every path and device, with one test body for all.
//!
//! `devices!` makes a test of a body for the fast CPU path and for the portable path on the CPU;
//! built with `cuda` or `metal`, the same bodies run on that device too, where there is one.
//! Inputs are seeded and spiky: a kernel that is right on smooth noise only does not pass.

#![allow(
    clippy::unwrap_used,
    reason = "clippy lets #[test] functions unwrap, but not the bodies that they share"
)]

mod attention;
mod bench;
mod close;
mod dense;
mod exact;
mod kv_write;
mod noise;
mod ragged;
mod rope;
mod sample;
