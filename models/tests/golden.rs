//! Logits and greedy tokens against `transformers` in f32, on the checkpoints in `tests/golden`
//! (see `make.py` there). Independent of candle, of our kernels and of our reading of the files.

mod support;

use std::fs;

use candle_core::DType;
use serde::Deserialize;
use stillroom_models::{Model, device};
use support::{Bench, Sequence, argmax, gap, golden};

const NAMES: [&str; 4] = ["llama", "llama3-rope", "mistral-window", "mixtral"];

/// Largest difference of a logit that counts as agreement.
const CLOSE: f32 = 1e-4;

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

/// The same on a GPU, which computes in the type that the weights are stored in.
#[test]
fn a_gpu_agrees_as_far_as_its_type_allows() {
    for name in NAMES {
        let device = match device("cuda") {
            Ok(device) => device,
            Err(error) => return eprintln!("no CUDA device here: {error}"),
        };
        let mut bench = Bench::load_on(&golden(name), None, device);
        let known = [(DType::F32, 1e-3), (DType::F16, 2e-2), (DType::BF16, 1e-1)];
        let dtype = bench.model.kv_shape().dtype;
        let (_, close) = known.into_iter().find(|(known, _)| *known == dtype).expect("a type");
        assert_logits(&mut bench, name, close);
        bench.clear();
        assert_greedy(&mut bench, name, 2.0 * close);
    }
}

fn assert_logits(bench: &mut Bench, name: &str, close: f32) {
    for prompt in expected(name) {
        bench.clear();
        let mut seq = bench.sequence(prompt.ids.len());
        let logits = bench.run_all(&mut [(&mut seq, &prompt.ids)]);
        for (row, wanted) in prompt.logits.iter().enumerate() {
            let found = gap(&logits[prompt.first_row + row], wanted);
            assert!(found < close, "{name}, row {row} of {}: {found}", prompt.ids.len());
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
