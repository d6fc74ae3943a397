//! A GPU against the CPU on seeded checkpoints whose heads have the sizes of real models: those are
//! what the tensor-core attention and the quantised products of a GPU take. The golden checkpoints
//! are too small for either.

mod support;

use candle_core::Device;
use stillroom_models::tiny::{self, Shape};
use stillroom_models::{LoadOptions, Quant};
use support::{Bench, gpu, mean_gap};
use tempfile::TempDir;

/// Tokens of the prompt, several tiles of attention and blocks of KV.
const N_PROMPT: usize = 150;
/// Single tokens after it.
const N_DECODED: usize = 3;

/// Logits of the prompt, in two chunks, and of single tokens behind it.
fn logits(bench: &mut Bench) -> Vec<f32> {
    let tokens: Vec<u32> = (0..N_PROMPT + N_DECODED).map(|at| (at * 37 % 1000) as u32).collect();
    let mut seq = bench.sequence(tokens.len());
    let (first, rest) = tokens.split_at(N_PROMPT / 3);
    let (second, decoded) = rest.split_at(N_PROMPT - first.len());
    let mut found = bench.run_all(&mut [(&mut seq, first)]);
    found.extend(bench.run_all(&mut [(&mut seq, second)]));
    for token in decoded.chunks(1) {
        found.extend(bench.run_last(&mut [(&mut seq, token)]));
    }
    found.concat()
}

/// Asserts that the mean gap between GPU and CPU is at most `allowed` of the mean logit.
fn assert_near(shape: &str, head_dim: usize, quantize: Option<Quant>, allowed: f32) {
    let Some(device) = gpu() else { return };
    let mut shape = Shape::named(shape).expect("a shape");
    shape.config.hidden_size = 256;
    shape.config.head_dim = head_dim;
    let folder = TempDir::new().expect("a folder");
    tiny::write(&shape, 7, folder.path()).expect("a checkpoint");
    let of = |device: Device| {
        let options = LoadOptions { quantize, ..LoadOptions::new(device) };
        logits(&mut Bench::load_with(folder.path(), &options))
    };
    let (found, wanted) = (of(device), of(Device::Cpu));
    let gap = mean_gap(&found, &wanted);
    let scale = mean_gap(&wanted, &vec![0.0; wanted.len()]);
    println!("{} with heads of {head_dim}: {:.4} of {scale}", shape.name, gap / scale);
    assert!(gap <= allowed * scale, "{gap}, allowed {allowed} of {scale}");
}

#[test]
fn a_gpu_computes_with_heads_of_64_what_a_cpu_does() {
    assert_near("llama-wide", 64, None, 0.05);
}

#[test]
fn a_gpu_computes_with_heads_of_128_what_a_cpu_does() {
    assert_near("llama-wide", 128, None, 0.05);
}

#[test]
fn a_gpu_computes_within_a_window_what_a_cpu_does() {
    assert_near("mistral", 128, None, 0.05);
}

/// Some rows take another expert than on a CPU, where two are near one another.
#[test]
fn a_gpu_computes_with_experts_what_a_cpu_does() {
    assert_near("mixtral", 128, None, 0.1);
}

#[test]
fn quantised_products_of_a_gpu_are_those_of_a_cpu() {
    assert_near("llama-wide", 64, Some(Quant::Q8_0), 0.05);
    assert_near("llama-wide", 64, Some(Quant::Q4K), 0.1);
    assert_near("mixtral", 64, Some(Quant::Q8_0), 0.1);
}
