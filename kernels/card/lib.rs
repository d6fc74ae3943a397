//! A card made of software: stands in for CUDA's driver and libraries where there is no GPU.
//!
//! Built as a shared library, which a CUDA build opens in the place of `libcuda.so.1`,
//! `libcublas.so.13`, `libcurand.so.10` and `libcudart.so.13` (`.ci/check-card`). It runs the PTX
//! that nvcc made, of our kernels and of candle's, on every thread of every block, so that all of a
//! CUDA build but its machine code is tried: addresses, launches, memory, the kernels as compiled.
//! It is stricter than a GPU: memory that nobody allocated, shared memory that two threads touch
//! without a barrier between them, and warps that have parted where they must be together end a
//! launch.
//!
//! Shows of a GPU's speed only what can be counted (`CARD_COUNTS`), and of the host's share all of
//! it (`CARD_IDLE`). Must not know what a kernel computes.

mod blas;
mod driver;
mod exports;
mod fatbin;
mod fault;
mod memory;
mod ptx;
mod run;
mod runtime;
#[cfg(test)]
mod tests;
