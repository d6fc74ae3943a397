//! `linear` by candle's own matrix product: any device, any float type.
//!
//! Two dimensions throughout: candle broadcasts a weight over a third one by a strided product
//! that is far slower. cuBLAS and Metal may take another kernel for another number of rows, so a
//! row's last bits depend on how many share the product.

use candle_core::{Result, Tensor};

/// `x [t, k]` times the transpose of `w [n, k]`, computed in `w`'s type, returned in `x`'s.
pub fn linear(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    x.to_dtype(w.dtype())?.matmul(&w.t()?)?.to_dtype(x.dtype())
}
