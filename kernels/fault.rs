//! What kind of fault a device's error is, as far as somebody can do something about it.
//!
//! Candle hands the errors of a driver on as boxed text, so the text is what is read: the names of
//! CUDA's own codes, which do not change. Must not know what was being computed.

use candle_core::Error;

/// Codes of an allocation that did not fit: the driver's, cuBLAS' and Metal's words.
const OUT_OF_MEMORY: [&str; 3] =
    ["CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED", "Insufficient Memory"];

/// Whether a smaller step might succeed where this one has failed.
pub fn is_out_of_memory(error: &Error) -> bool {
    let text = error.to_string();
    OUT_OF_MEMORY.iter().any(|code| text.contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_from_other_faults() {
        let error = |text: &str| Error::Cuda(text.to_owned().into()).context("a step");
        assert!(is_out_of_memory(&error(
            "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")"
        )));
        assert!(is_out_of_memory(&error("CublasError(CUBLAS_STATUS_ALLOC_FAILED)")));
        assert!(!is_out_of_memory(&error("DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"..\")")));
    }
}
