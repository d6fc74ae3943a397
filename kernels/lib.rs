//! Tensor operations of the engine, one folder an op: contract and dispatch (`mod.rs`), plain
//! reference (`reference.rs`), CPU path (`cpu.rs`), candle ops for any device (`portable.rs`),
//! and on CUDA kernels of our own (`kernel.cu`; `launch.rs` plans what `cuda.rs` carries out).
//!
//! This crate knows tensors and memory layout. It must not know a model, a request, a text or a
//! file, and reads no clock, no environment and no stdout.
//!
//! # The dims alphabet
//!
//! | letter | meaning |
//! |---|---|
//! | `t` | tokens (rows) of one forward |
//! | `b` | sequences of one forward |
//! | `s` | rows whose logits are wanted |
//! | `h` | hidden size |
//! | `i` | intermediate size of an MLP |
//! | `hq`, `hkv` | query heads, key/value heads |
//! | `d` | head size |
//! | `e`, `k` | experts, experts taken per token |
//! | `n` | blocks of a pool |
//! | `v` | vocabulary size |

#[cfg(feature = "cuda")]
pub mod cuda;
pub mod embed;
pub mod fault;
pub mod idle;
pub mod kv_write;
pub mod launch;
pub mod linear;
pub mod moe;
pub mod paged;
pub mod paged_attention;
pub mod rms_norm;
pub mod roof;
pub mod rope;
pub mod sample;
pub mod shape;
pub mod silu_mul;
pub mod switch;

#[cfg(any(feature = "cuda", test))]
mod arch;
mod host;
mod lanes;
mod split;
