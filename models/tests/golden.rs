//! Logits and greedy tokens against `transformers` in f32, on the checkpoints in `tests/golden`
//! (see `make.py` there). Independent of candle, of our kernels and of our reading of the files.

mod support;

use std::fs;

use serde::Deserialize;
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
        for prompt in expected(name) {
            bench.clear();
            let mut seq = bench.sequence(prompt.ids.len());
            let logits = bench.run_all(&mut [(&mut seq, &prompt.ids)]);
            for (row, wanted) in prompt.logits.iter().enumerate() {
                let found = gap(&logits[prompt.first_row + row], wanted);
                assert!(found < CLOSE, "{name}, row {row} of {}: {found}", prompt.ids.len());
            }
        }
    }
}

/// All prompts in one ragged batch, then one row each: what the engine does.
#[test]
fn greedy_tokens_agree_with_transformers_in_one_batch() {
    for name in NAMES {
        let mut bench = Bench::load(&golden(name), None);
        let prompts = expected(name);
        let mut seqs: Vec<Sequence> =
            prompts.iter().map(|p| bench.sequence(p.ids.len() + p.greedy.len())).collect();
        let mut next: Vec<Vec<u32>> = prompts.iter().map(|p| p.ids.clone()).collect();
        for step in 0..prompts[0].greedy.len() {
            let mut runs: Vec<_> =
                seqs.iter_mut().zip(&next).map(|(seq, tokens)| (seq, tokens.as_slice())).collect();
            let logits = bench.run_last(&mut runs);
            for (j, prompt) in prompts.iter().enumerate() {
                if prompt.margins[step] > CLEAR {
                    let found = argmax(&logits[j]);
                    assert_eq!(found, prompt.greedy[step], "{name}, prompt {j}, step {step}");
                }
                next[j] = vec![prompt.greedy[step]];
            }
        }
    }
}
