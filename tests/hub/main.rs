//! Pushes to a Hub of the tests' own on the loopback device, which believes nothing that it is sent.
#![cfg(feature = "hub")]

mod bench;
mod faults;
mod python;
mod runs;
mod server;
mod stories;
