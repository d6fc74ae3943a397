//! Logits and greedy tokens against `transformers` in f32, on the checkpoints in `tests/golden`
//! (see `make.py` there). Independent of candle, of our kernels and of our reading of the files.

mod support;

use std::fs;

use candle_core::DType;
use serde::Deserialize;
use stillroom_models::{LoadOptions, Model};
use support::{Bench, Sequence, argmax, gap, golden, gpu, mean_gap};

const NAMES: [&str; 4] = ["llama", "llama3-rope", "mistral-window", "mixtral"];

/// Largest difference of a logit that counts as agreement.
const CLOSE: f32 = 1e-4;

/// The same on a GPU, whose sums are in another order.
const GPU_CLOSE: f32 = 1e-3;

/// Gap of the two likeliest tokens from which on greedy tokens must be equal.
const CLEAR: f32 = 1e-3;

#[derive(Deserialize)]
struct Expected {
    prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
struct Prompt {
    ids: Vec<u32>,
    /// Row of the first entry of `logits`.
    first_row: usize,
    logits: Vec<Vec<f32>>,
    greedy: Vec<u32>,
    /// Gap of the two likeliest tokens at each step of `greedy`.
    margins: Vec<f32>,
}

fn expected(name: &str) -> Vec<Prompt> {
    let text = fs::read_to_string(golden(name).join("expected.json")).expect("expected.json");
    let expected: Expected = serde_json::from_str(&text).expect("the script's own format");
    expected.prompts
}

#[test]
fn logits_agree_with_transformers() {
    for name in NAMES {
        let mut bench = Bench::load(&golden(name), None);
        assert_logits(&mut bench, name, CLOSE);
    }
}

/// All prompts in one ragged batch, then one row each: what the engine does.
#[test]
fn greedy_tokens_agree_with_transformers_in_one_batch() {
    for name in NAMES {
        let mut bench = Bench::load(&golden(name), None);
        assert_greedy(&mut bench, name, CLEAR);
    }
}

/// The same on a GPU, which can compute in f32 too.
#[test]
fn a_gpu_agrees_with_transformers() {
    let Some(device) = gpu() else { return };
    for name in NAMES {
        let options = LoadOptions { dtype: Some(DType::F32), ..LoadOptions::new(device.clone()) };
        let mut bench = Bench::load_with(&golden(name), &options);
        assert_logits(&mut bench, name, GPU_CLOSE);
        bench.clear();
        assert_greedy(&mut bench, name, 2.0 * GPU_CLOSE);
    }
}

/// In 16 bits no two programs agree row by row: a token's experts are others when two routes lie
/// near one another. What can be held is the mean, against what `transformers` loses itself.
#[test]
fn a_gpu_in_16_bits_is_as_near_as_transformers() {
    let Some(device) = gpu() else { return };
    for name in NAMES {
        let mut bench = Bench::load_with(&golden(name), &LoadOptions::new(device.clone()));
        let dtype = bench.model.kv_shape().dtype;
        let known = [(DType::F32, GPU_CLOSE), (DType::F16, 0.01), (DType::BF16, 0.1)];
        let (_, allowed) = known.into_iter().find(|(known, _)| *known == dtype).expect("a type");
        let (found, wanted): (Vec<_>, Vec<_>) = logits(&mut bench, name).into_iter().unzip();
        let [found, wanted] = [found, wanted].map(|prompts| prompts.concat().concat());
        let (mean, most) = (mean_gap(&found, &wanted), gap(&found, &wanted));
        println!("{name} in {dtype:?}: gaps of {mean} in the mean, {most} at most");
        assert!(mean < allowed, "{name} in {dtype:?}: {mean}, allowed {allowed}");
    }
}

/// Logits of some rows of a prompt.
type Rows = Vec<Vec<f32>>;

/// For each prompt its logits and those that are wanted.
fn logits(bench: &mut Bench, name: &str) -> Vec<(Rows, Rows)> {
    let prompts = expected(name).into_iter();
    prompts
        .map(|prompt| {
            bench.clear();
            let mut seq = bench.sequence(prompt.ids.len());
            let mut found = bench.run_all(&mut [(&mut seq, &prompt.ids)]);
            found.drain(..prompt.first_row);
            found.truncate(prompt.logits.len());
            (found, prompt.logits)
        })
        .collect()
}

fn assert_logits(bench: &mut Bench, name: &str, close: f32) {
    for (prompt, (found, wanted)) in logits(bench, name).into_iter().enumerate() {
        assert_eq!(found.len(), wanted.len());
        for (row, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            let gap = gap(found, wanted);
            assert!(gap < close, "{name}, prompt {prompt}, row {row}: {gap}");
        }
    }
}

fn assert_greedy(bench: &mut Bench, name: &str, clear: f32) {
    let prompts = expected(name);
    let mut seqs: Vec<Sequence> =
        prompts.iter().map(|p| bench.sequence(p.ids.len() + p.greedy.len())).collect();
    let mut next: Vec<Vec<u32>> = prompts.iter().map(|p| p.ids.clone()).collect();
    for step in 0..prompts[0].greedy.len() {
        let mut runs: Vec<_> =
            seqs.iter_mut().zip(&next).map(|(seq, tokens)| (seq, tokens.as_slice())).collect();
        let logits = bench.run_last(&mut runs);
        for (j, prompt) in prompts.iter().enumerate() {
            if prompt.margins[step] > clear {
                let found = argmax(&logits[j]);
                assert_eq!(found, prompt.greedy[step], "{name}, prompt {j}, step {step}");
            }
            next[j] = vec![prompt.greedy[step]];
        }
    }
}
