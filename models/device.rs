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

/// Bytes that are free on a device with memory of its own, what it keeps in reserve among them;
/// `None` for the others.
pub fn free_bytes(device: &Device) -> Option<u64> {
    match device {
        Device::Cpu | Device::Metal(_) => None,
        Device::Cuda(device) => memory::free_bytes(device),
    }
}

/// Bytes that `run` takes at its peak beside what lives when it starts; `None`, with nothing run,
/// where that cannot be asked. What `prepare` makes does not count.
///
/// # Errors
/// When either fails.
pub(crate) fn peak_bytes<T, U>(
    device: &Device,
    prepare: impl FnOnce() -> candle_core::Result<T>,
    run: impl FnOnce(T) -> candle_core::Result<U>,
) -> candle_core::Result<Option<u64>> {
    let Device::Cuda(cuda) = device else { return Ok(None) };
    let prepared = prepare()?;
    device.synchronize()?;
    let Some(before) = memory::start_peak(cuda) else { return Ok(None) };
    let made = run(prepared)?;
    device.synchronize()?;
    drop(made);
    Ok(memory::peak(cuda).map(|peak| peak.saturating_sub(before)))
}

/// Questions that only a driver can answer.
#[cfg(feature = "cuda")]
mod memory {
    use candle_core::CudaDevice;
    use stillroom_kernels::cuda;

    pub(super) fn free_bytes(device: &CudaDevice) -> Option<u64> {
        cuda::free_bytes(device).ok()
    }

    /// Bytes in use now, from where the peak begins anew.
    pub(super) fn start_peak(device: &CudaDevice) -> Option<u64> {
        cuda::reset_peak(device).ok()?;
        Some(cuda::pool_use(device).ok()?.now)
    }

    pub(super) fn peak(device: &CudaDevice) -> Option<u64> {
        Some(cuda::pool_use(device).ok()?.peak)
    }
}

/// Without the feature there is no such device to ask.
#[cfg(not(feature = "cuda"))]
mod memory {
    use candle_core::CudaDevice;

    pub(super) fn free_bytes(_: &CudaDevice) -> Option<u64> {
        None
    }

    pub(super) fn start_peak(_: &CudaDevice) -> Option<u64> {
        None
    }

    pub(super) fn peak(_: &CudaDevice) -> Option<u64> {
        None
    }
}

#[cfg(feature = "cuda")]
fn cuda(name: &str, ordinal: usize) -> Result<Device> {
    stillroom_kernels::cuda::open(ordinal).map_err(|error| fault(name, &plain(&error.to_string())))
}

#[cfg(not(feature = "cuda"))]
fn cuda(name: &str, _: usize) -> Result<Device> {
    Err(fault(name, "not built in; build with `cargo build --release --features cuda`"))
}

/// An error of CUDA in words that say what to do; others as they are.
#[cfg(any(feature = "cuda", test))]
fn plain(error: &str) -> String {
    let known = [
        (
            "CUDA_ERROR_STUB_LIBRARY",
            "NVIDIA's driver is missing: libcuda.so.1 cannot be opened (where it lies in a folder \
             of its own, add that to LD_LIBRARY_PATH)",
        ),
        ("CUDA_ERROR_NO_DEVICE", "the driver sees no card"),
        ("CUDA_ERROR_INVALID_DEVICE", "there is no card of this number"),
        (
            "CUBLAS_STATUS_NOT_INITIALIZED",
            "libcublas.so.13 and libcublasLt.so.13 of CUDA 13 are missing or do not fit the \
             driver; add their folder to LD_LIBRARY_PATH",
        ),
        (
            "CURAND_STATUS_INITIALIZATION_FAILED",
            "libcurand.so.10 of CUDA 13 is missing or does not fit the driver; add its folder to \
             LD_LIBRARY_PATH",
        ),
    ];
    let found = known.into_iter().find(|(code, _)| error.contains(code));
    found.map_or_else(|| error.to_owned(), |(code, text)| format!("{text} ({code})"))
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

    #[test]
    fn errors_of_cuda_say_what_is_missing() {
        let error = plain("DriverError(CUDA_ERROR_STUB_LIBRARY, \"..\")\n  0: a backtrace");
        assert!(error.starts_with("NVIDIA's driver is missing: libcuda.so.1"), "{error}");
        assert!(plain("CublasError(CUBLAS_STATUS_NOT_INITIALIZED)").contains("libcublas.so.13"));
        assert_eq!(plain("something else"), "something else");
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_that_is_not_built_in_says_how_to_build_it() {
        let error = device("cuda:1").unwrap_err().to_string();
        assert!(error.contains("--features cuda"), "{error}");
    }
}
