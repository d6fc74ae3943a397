//! The flow at work: rows in, rows out, every finished row on disk.
//!
//! It must not know the command line.
