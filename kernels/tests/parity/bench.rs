//! What the parity tests stand on: where an op runs, and the numbers it is given.

use candle_core::{DType, Device, Tensor};

pub(crate) use crate::noise::Noise;

/// A path under test.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    pub(crate) device: Device,
    /// Calls the portable path by name instead of the op's own choice.
    pub(crate) portable: bool,
}

impl Path {
    pub(crate) fn fast(device: Device) -> Self {
        Self { device, portable: false }
    }

    pub(crate) fn portable() -> Self {
        Self { device: Device::Cpu, portable: true }
    }

    /// The types that the path must take.
    pub(crate) fn dtypes(&self) -> &'static [DType] {
        &[DType::F32, DType::F16, DType::BF16]
    }

    /// Puts `data` where the path runs, rounded to `dtype`, and gives back what it was rounded to.
    pub(crate) fn put(&self, data: &[f32], dims: &[usize], dtype: DType) -> (Tensor, Vec<f32>) {
        let tensor = Tensor::from_slice(data, dims, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let rounded = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
        (tensor.to_device(&self.device).unwrap(), rounded.to_vec1().unwrap())
    }
}

/// Makes a test of `$body` for each path.
macro_rules! devices {
    ($name:ident, $body:expr) => {
        mod $name {
            use super::*;
            use $crate::bench::Path;

            #[test]
            fn cpu() {
                $body(&Path::fast(candle_core::Device::Cpu));
            }

            #[test]
            fn portable() {
                $body(&Path::portable());
            }

            #[cfg(feature = "cuda")]
            #[test]
            fn cuda() {
                match stillroom_kernels::cuda::open(0) {
                    Ok(device) => $body(&Path::fast(device)),
                    Err(error) => eprintln!("no CUDA device here: {error}"),
                }
            }

            #[cfg(feature = "metal")]
            #[test]
            fn metal() {
                match candle_core::Device::new_metal(0) {
                    Ok(device) => $body(&Path::fast(device)),
                    Err(error) => eprintln!("no Metal device here: {error}"),
                }
            }
        }
    };
}
pub(crate) use devices;
