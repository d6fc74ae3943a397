//! The roads to the Hub and back: pushes to a Hub of the tests' own on the loopback device, which
//! believes nothing that it is sent, and whole walk-throughs.
#![cfg(feature = "hub")]

#[path = "../argilla/stand_in.rs"]
#[allow(dead_code, reason = "the stories of tests/argilla want more of it")]
mod argilla;
mod bench;
mod faults;
mod offline;
mod python;
mod runs;
mod server;
mod stories;
mod walkthroughs;
