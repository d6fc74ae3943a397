//! The device that a word on the command line means.
//!
//! The only place outside `kernels` that knows which devices were built in. CUDA gets a stream of
//! its own instead of the per-thread default one, so that the engine may move between threads.

use candle_core::Device;

use crate::error::{Error, Result};

/// `auto` (the best that is built in and there), `cpu`, `cuda`, `cuda:N` or `metal`.
///
/// # Errors
/// When the word means no device, or one that is not built in or not there.
pub fn device(name: &str) -> Result<Device> {
    match name {
        "auto" => Ok(cuda(name, 0).or_else(|_| metal(name)).unwrap_or(Device::Cpu)),
        "cpu" => Ok(Device::Cpu),
        "cuda" => cuda(name, 0),
        "metal" => metal(name),
        _ => match name.strip_prefix("cuda:").map(str::parse) {
            Some(Ok(ordinal)) => cuda(name, ordinal),
            Some(Err(_)) | None => {
                Err(fault(name, "not known; there are auto, cpu, cuda:N and metal"))
            }
        },
    }
}

/// What a device is called in messages and records.
pub fn device_name(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".to_owned(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { gpu_id: _ } => "metal".to_owned(),
    }
}

/// Bytes that are free on a device with memory of its own; `None` for the others.
pub fn free_bytes(device: &Device) -> Option<u64> {
    match device {
        Device::Cpu | Device::Metal(_) => None,
        Device::Cuda(device) => free_on(device),
    }
}

#[cfg(feature = "cuda")]
fn free_on(device: &candle_core::CudaDevice) -> Option<u64> {
    device.cuda_stream().context().bind_to_thread().ok()?;
    let (free, _total) = candle_core::cuda::cudarc::driver::result::mem_get_info().ok()?;
    Some(free as u64)
}

#[cfg(not(feature = "cuda"))]
fn free_on(_: &candle_core::CudaDevice) -> Option<u64> {
    None
}

#[cfg(feature = "cuda")]
fn cuda(name: &str, ordinal: usize) -> Result<Device> {
    Device::new_cuda_with_stream(ordinal).map_err(|error| fault(name, &error.to_string()))
}

#[cfg(not(feature = "cuda"))]
fn cuda(name: &str, _: usize) -> Result<Device> {
    Err(fault(name, "not built in; build with `cargo build --release --features cuda`"))
}

#[cfg(feature = "metal")]
fn metal(name: &str) -> Result<Device> {
    Device::new_metal(0).map_err(|error| fault(name, &error.to_string()))
}

#[cfg(not(feature = "metal"))]
fn metal(name: &str) -> Result<Device> {
    Err(fault(name, "not built in; build with `cargo build --release --features metal`"))
}

fn fault(asked: &str, what: &str) -> Error {
    Error::Device { asked: asked.to_owned(), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_faults() {
        assert!(device("cpu").unwrap().is_cpu());
        assert_eq!(device_name(&device("cpu").unwrap()), "cpu");
        assert!(device("auto").is_ok());
        for word in ["gpu", "cuda:x", "cuda:-1", ""] {
            let error = device(word).unwrap_err().to_string();
            assert!(error.contains("auto, cpu, cuda:N and metal"), "{word}: {error}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_that_is_not_built_in_says_how_to_build_it() {
        let error = device("cuda:1").unwrap_err().to_string();
        assert!(error.contains("--features cuda"), "{error}");
    }
}
