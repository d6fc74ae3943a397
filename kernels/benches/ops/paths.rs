//! What is timed: each op by each path, with as many copies of its weight as leave the cache.

use candle_core::{DType, Device, Result, Tensor};
use std::sync::Arc;
use stillroom_kernels::linear::reference::{linear as truth, linear_mass};
use stillroom_kernels::linear::{Format, Linear, Quant, RowOrder, Weight};
use stillroom_kernels::moe::{self, Expert};
use stillroom_kernels::{rms_norm, silu_mul};

/// Bytes of weights that one round must touch: several times any last-level cache share.
const OUT_OF_CACHE: usize = 96 << 20;

type Run = Box<dyn Fn() -> Result<Tensor> + Send + Sync>;

/// One op by one path.
pub(crate) struct Path {
    pub(crate) name: String,
    /// Bytes that one run must read.
    pub(crate) bytes: f64,
    /// Multiplications and additions of one run.
    pub(crate) flops: f64,
    copies: Vec<Run>,
}

impl Path {
    pub(crate) fn run_all(&self) -> Result<()> {
        self.copies.iter().try_for_each(|run| run().map(|out| drop(std::hint::black_box(out))))
    }

    pub(crate) fn n_copies(&self) -> usize {
        self.copies.len()
    }

    pub(crate) fn is_yardstick(&self) -> bool {
        self.name == "candle f32"
    }
}

/// Numbers in -1..1; any will do for speed, but not all alike.
fn noise(dims: (usize, usize)) -> Result<Tensor> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let numbers = (0..dims.0 * dims.1).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    });
    Tensor::from_vec(numbers.collect(), dims, &Device::Cpu)
}

fn flat(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

/// A product of `t` rows with `[n, k]` in every format, and by candle's own matrix product.
pub(crate) fn linear(t: usize, k: usize, n: usize) -> Result<Vec<Path>> {
    let (x, w) = (noise((t, k))?, noise((n, k))?);
    let flops = (2 * t * k * n) as f64;
    let formats = [Format::Panels, Format::Quantised(Quant::Q8_0), Format::Quantised(Quant::Q4K)];
    let mut paths = Vec::new();
    for format in formats {
        let bytes = format.bytes(n, k);
        let copies = (0..OUT_OF_CACHE.div_ceil(bytes)).map(|_| {
            let weight = Weight::from_tensor(&w, format, &Device::Cpu)?;
            Ok(Linear::new(Arc::new(weight), RowOrder::Fixed))
        });
        let copies = copies.collect::<Result<Vec<_>>>()?;
        check(&copies[0], &x)?;
        let run = |linear: Linear| -> Run {
            let x = x.clone();
            Box::new(move || linear.forward(&x))
        };
        let copies = copies.into_iter().map(run).collect();
        paths.push(Path { name: format.to_string(), bytes: bytes as f64, flops, copies });
    }
    let bytes = Format::Dense(DType::F32).bytes(n, k);
    let copies = (0..OUT_OF_CACHE.div_ceil(bytes)).map(|_| -> Result<Run> {
        let (x, w) = (x.clone(), w.copy()?);
        Ok(Box::new(move || x.matmul(&w.t()?)))
    });
    let copies = copies.collect::<Result<Vec<_>>>()?;
    paths.push(Path { name: "candle f32".into(), bytes: bytes as f64, flops, copies });
    Ok(paths)
}

/// Refuses to time a path whose first and last rows are not what the reference says.
fn check(linear: &Linear, x: &Tensor) -> Result<()> {
    let (t, k) = x.dims2()?;
    let w = flat(&linear.weight().to_f32()?)?;
    // 8-bit activations are off by up to 1/250 of the largest, f32 sums by far less.
    let exact = linear.weight().format() == Format::Panels;
    let tolerance = if exact { 1e-5 } else { 1.0 / 250.0 };
    let found = linear.forward(x)?;
    for row in [0, t - 1] {
        let (x, found) = (flat(&x.narrow(0, row, 1)?)?, flat(&found.narrow(0, row, 1)?)?);
        let scale = linear_mass(&vec![1.0; k], &w, k);
        for ((found, wanted), scale) in found.iter().zip(truth(&x, &w, k)).zip(scale) {
            assert!((found - wanted).abs() <= tolerance * scale, "{found} is not {wanted}");
        }
    }
    Ok(())
}

/// The passes over memory between the products.
pub(crate) fn small(t: usize, h: usize, i: usize) -> Result<Vec<Path>> {
    let (x, more, gate_up) = (noise((t, h))?, noise((t, h))?, noise((t, 2 * i))?);
    let w = noise((1, h))?.flatten_all()?;
    let path = |name: &str, n_floats: usize, run: Run| Path {
        name: name.into(),
        bytes: (n_floats * size_of::<f32>()) as f64,
        flops: 0.0,
        copies: vec![run],
    };
    let norm: Run = Box::new(move || Ok(rms_norm::add_rms_norm(&x, &more, &w, 1e-5)?.0));
    let gate: Run = Box::new(move || silu_mul::silu_mul(&gate_up));
    Ok(vec![path("add_rms_norm", 4 * t * h, norm), path("silu_mul", 3 * t * i, gate)])
}

/// Eight experts, two a token.
pub(crate) fn moe(t: usize, h: usize, i: usize) -> Result<Vec<Path>> {
    let (e, top_k) = (8, 2);
    let (x, logits) = (noise((t, h))?, noise((t, e))?);
    let mut paths = Vec::new();
    for format in [Format::Panels, Format::Quantised(Quant::Q8_0)] {
        let product = |n: usize, k: usize| {
            let weight = Weight::from_tensor(&noise((n, k))?, format, &Device::Cpu)?;
            Result::Ok(Linear::new(Arc::new(weight), RowOrder::Fixed))
        };
        let experts = (0..e)
            .map(|_| Ok(Expert { gate_up: product(2 * i, h)?, down: product(h, i)? }))
            .collect::<Result<moe::Experts>>()?;
        let (x, logits) = (x.clone(), logits.clone());
        paths.push(Path {
            name: format!("moe {format}"),
            bytes: (e * format.bytes(3 * i, h)) as f64,
            flops: (2 * t * top_k * 3 * i * h) as f64,
            copies: vec![Box::new(move || moe::moe(&x, &logits, &experts, top_k))],
        });
    }
    Ok(paths)
}
