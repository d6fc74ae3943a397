//! A row's logits do not depend on its neighbours: batched equals alone, chunked equals whole, to
//! the last bit, in f32 and in both quantised formats, dense and with experts.
//!
//! Every quantised path meets several sequences at once here; and what it computes stays close to
//! the unquantised model.

#![allow(clippy::unwrap_used, reason = "clippy lets #[test] functions unwrap, but not helpers")]

mod support;

use std::path::Path;

use stillroom_models::Quant;
use stillroom_models::config::Experts;
use stillroom_models::tiny::{self, Shape};
use support::{Bench, argmax};

/// Lengths that fill tiles, leave remainders and cross blocks.
const LENGTHS: [usize; 7] = [1, 31, 2, 64, 33, 5, 70];

const FORMATS: [Option<Quant>; 3] = [None, Some(Quant::Q8_0), Some(Quant::Q4K)];

fn prompt(j: usize, n: usize) -> Vec<u32> {
    (0..n as u32).map(|i| (i * 7919 + j as u32 * 104_729 + 13) % 1000).collect()
}

/// Wide enough for q4_k in every product.
fn shapes() -> Vec<Shape> {
    let dense = Shape::named("llama-wide").unwrap();
    let mut moe = Shape::named("mixtral").unwrap();
    moe.name = "mixtral-wide".to_owned();
    moe.config.hidden_size = 256;
    moe.config.intermediate_size = 256;
    moe.config.head_dim = 64;
    moe.config.experts = Some(Experts { n: 4, n_per_token: 2 });
    let window = Shape::named("mistral").unwrap();
    vec![dense, moe, window]
}

fn each_case(shapes: Vec<Shape>, check: impl Fn(&str, Bench, &Path)) {
    let root = tempfile::tempdir().unwrap();
    for shape in shapes {
        let folder = tiny::cached(&shape, 9, root.path()).unwrap();
        for format in FORMATS {
            let name = format!("{} {}", shape.name, format.map_or("f32", Quant::name));
            check(&name, Bench::load(&folder, format), &folder);
        }
    }
}

#[test]
fn batched_equals_alone() {
    each_case(shapes(), |name, mut bench, _| {
        let prompts: Vec<_> = LENGTHS.iter().enumerate().map(|(j, &n)| prompt(j, n)).collect();
        let mut seqs: Vec<_> = prompts.iter().map(|p| bench.sequence(p.len() + 1)).collect();
        let mut runs: Vec<_> = seqs.iter_mut().zip(&prompts).map(|(s, p)| (s, &p[..])).collect();
        let prefill = bench.run_last(&mut runs);
        let next: Vec<_> = prefill.iter().map(|logits| [argmax(logits)]).collect();
        let mut runs: Vec<_> = seqs.iter_mut().zip(&next).map(|(s, t)| (s, &t[..])).collect();
        let decode = bench.run_last(&mut runs);
        for (j, prompt) in prompts.iter().enumerate() {
            bench.clear();
            let mut seq = bench.sequence(prompt.len() + 1);
            let alone = bench.run_last(&mut [(&mut seq, prompt)]);
            assert_eq!(alone[0], prefill[j], "{name}: prompt {j}");
            let alone = bench.run_last(&mut [(&mut seq, &next[j])]);
            assert_eq!(alone[0], decode[j], "{name}: decode after prompt {j}");
        }
    });
}

#[test]
fn chunked_equals_whole() {
    each_case(shapes(), |name, mut bench, _| {
        let prompt = prompt(3, 90);
        let mut seq = bench.sequence(prompt.len());
        let whole = bench.run_all(&mut [(&mut seq, &prompt)]);
        for chunk in [7, 32, 50] {
            bench.clear();
            let mut seq = bench.sequence(prompt.len());
            let (last, before) = {
                let n = (prompt.len() - 1) / chunk * chunk;
                (&prompt[n..], &prompt[..n])
            };
            for tokens in before.chunks(chunk) {
                bench.run_none(&mut [(&mut seq, tokens)]);
            }
            let chunked = bench.run_last(&mut [(&mut seq, last)]);
            assert_eq!(chunked[0], whole[prompt.len() - 1], "{name}: chunks of {chunk}");
        }
    });
}

#[test]
fn quantised_models_stay_close() {
    let mut shapes = shapes();
    for shape in &mut shapes {
        // Random routers have near ties, and another expert is another answer: here all are taken.
        if let Some(experts) = &mut shape.config.experts {
            experts.n_per_token = experts.n;
        }
    }
    each_case(shapes, |name, mut bench, folder| {
        let mut plain = Bench::load(folder, None);
        let run = |bench: &mut Bench| {
            let prompts = [prompt(0, 40), prompt(1, 9), prompt(2, 24)];
            let mut seqs: Vec<_> = prompts.iter().map(|p| bench.sequence(p.len())).collect();
            let mut runs: Vec<_> =
                seqs.iter_mut().zip(&prompts).map(|(s, p)| (s, &p[..])).collect();
            bench.run_last(&mut runs)
        };
        let (found, wanted) = (run(&mut bench), run(&mut plain));
        // Share of the spread of the logits that rounding may cost.
        let limit = if name.ends_with("q4_k") { 0.35 } else { 0.04 };
        for (j, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            let found = relative_error(found, wanted);
            assert!(found < limit, "{name}: sequence {j} is off by {found}");
        }
    });
}

/// Root mean square of the difference over that of the values.
fn relative_error(found: &[f32], wanted: &[f32]) -> f32 {
    let square = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>();
    let difference = square(&mut found.iter().zip(wanted).map(|(a, b)| a - b));
    (difference / square(&mut wanted.iter().copied())).sqrt()
}
