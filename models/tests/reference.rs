//! Developers' reference data, where `STILLROOM_TEST_DATA` names its folder: configurations of the
//! real models with their published counts, and checkpoints (one of them really trained) with what
//! `transformers` computed in f32. Without the variable these tests say so and check nothing: the
//! golden checkpoints of the repository cover the same ground in small.

#![allow(clippy::unwrap_used, reason = "clippy lets #[test] functions unwrap, but not helpers")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::DType;
use serde::Deserialize;
use serde_json::Value;
use stillroom_models::{ModelConfig, Quant, estimate, inspect};
use support::{Bench, argmax};

const CHECKPOINTS: [&str; 4] =
    ["llama-tiny-rs-seed11", "mistral-tiny-seed11", "mixtral-tiny-seed11", "stories260K"];

/// Largest difference of a logit or log-probability that counts as agreement.
const CLOSE: f32 = 1e-4;

/// Gap of the two likeliest tokens from which on greedy tokens must be equal.
const CLEAR: f32 = 1e-3;

#[derive(Deserialize)]
struct Case {
    ids: Vec<u32>,
    last_top20: Vec<(usize, f32)>,
    logsumexp: f32,
    prompt_logprobs: Vec<f32>,
    greedy_ids: Vec<u32>,
    greedy_margin: Vec<f32>,
}

fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("STILLROOM_TEST_DATA").map(PathBuf::from);
    if folder.is_none() {
        println!("STILLROOM_TEST_DATA is not set: nothing checked");
    }
    folder
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn configurations_of_the_real_models() {
    let Some(data) = data() else { return };
    let facts = json(&data.join("configs/FACTS.json"));
    for (name, facts) in facts.as_object().unwrap() {
        let path = data.join("configs").join(format!("{name}.json"));
        let config = ModelConfig::read_file(&path).unwrap();
        assert_eq!(config.n_params(), facts["params"], "{name}");
        assert_eq!(config.n_active_params(), facts["active_params"], "{name}");
        let kv = config.kv_bytes_per_token(DType::BF16);
        assert_eq!(kv, facts["kv_bytes_per_token_bf16"], "{name}");
    }
}

#[test]
fn checkpoints_are_inspected_and_estimated() {
    let Some(data) = data() else { return };
    for name in CHECKPOINTS {
        let folder = data.join("models").join(name);
        let card = inspect(&folder).unwrap();
        if let Some(n_params) = json_if_present(&folder.join("RECIPE.json")) {
            assert_eq!(card.n_params, n_params["params"], "{name}");
        }
        let options = stillroom_models::LoadOptions::new(candle_core::Device::Cpu);
        assert!(estimate(&folder, &options).unwrap().weight_bytes >= 2 * card.n_params, "{name}");
    }
}

fn json_if_present(path: &Path) -> Option<Value> {
    path.is_file().then(|| json(path))
}

#[test]
fn checkpoints_agree_with_transformers() {
    let Some(data) = data() else { return };
    for name in CHECKPOINTS {
        let mut bench = Bench::load(&data.join("models").join(name), None);
        for (i, case) in cases(&data, name).iter().enumerate() {
            let at = format!("{name}, case {i}");
            bench.clear();
            let mut seq = bench.sequence(case.ids.len() + case.greedy_ids.len());
            let logits = bench.run_all(&mut [(&mut seq, &case.ids)]);
            check_prompt(case, &logits, &at);
            let mut last = logits.last().unwrap().clone();
            for (step, &token) in case.greedy_ids.iter().enumerate() {
                if case.greedy_margin[step] > CLEAR {
                    assert_eq!(argmax(&last), token, "{at}, step {step}");
                }
                last = bench.run_last(&mut [(&mut seq, &[token])]).remove(0);
            }
        }
    }
}

fn cases(data: &Path, name: &str) -> Vec<Case> {
    let mut record = json(&data.join("models/reference").join(format!("{name}.json")));
    serde_json::from_value(record["cases"].take()).unwrap()
}

fn check_prompt(case: &Case, logits: &[Vec<f32>], at: &str) {
    let last = logits.last().unwrap();
    for &(token, wanted) in &case.last_top20 {
        let found = (last[token] - wanted).abs();
        assert!(found < CLOSE, "{at}: logit of token {token} is off by {found}");
    }
    assert!((log_sum_exp(last) - case.logsumexp).abs() < CLOSE, "{at}: sum");
    for (row, &wanted) in case.prompt_logprobs.iter().enumerate() {
        let token = case.ids[row + 1] as usize;
        let found = (logits[row][token] - log_sum_exp(&logits[row]) - wanted).abs();
        assert!(found < CLOSE, "{at}: log-probability of row {row} is off by {found}");
    }
}

fn log_sum_exp(logits: &[f32]) -> f32 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&x| f64::from(x - max).exp()).sum();
    (f64::from(max) + sum.ln()) as f32
}

/// The trained model keeps its text under eight bits: the same tokens wherever the choice is clear.
#[test]
fn a_trained_model_survives_q8_0() {
    let Some(data) = data() else { return };
    let mut bench = Bench::load(&data.join("models/stories260K"), Some(Quant::Q8_0));
    let (mut n_clear, mut n_same) = (0, 0);
    for case in cases(&data, "stories260K") {
        bench.clear();
        let mut seq = bench.sequence(case.ids.len() + case.greedy_ids.len());
        let mut last = bench.run_last(&mut [(&mut seq, &case.ids)]).remove(0);
        for (step, &token) in case.greedy_ids.iter().enumerate() {
            if case.greedy_margin[step] > 0.5 {
                n_clear += 1;
                n_same += usize::from(argmax(&last) == token);
            }
            last = bench.run_last(&mut [(&mut seq, &[token])]).remove(0);
        }
    }
    assert!(n_same * 100 >= n_clear * 98, "{n_same} of {n_clear} clear choices are kept");
}
