//! The net that is trained is the model that answers: the same logits, and nothing left untaught.

use candle_core::{DType, Device, Result, Tensor};
use clap::ValueEnum;
use stillroom_kernels::paged::Batch;
use stillroom_models::{LoadOptions, Model, load};

use super::lessons::{Subject, Teacher};
use super::members::Member;
use super::net::Net;
use super::optimiser::Optimiser;
use super::{folder, training, words};
use stillroom_models::demo::dice::Dice;
use stillroom_models::demo::exercise::Share;

/// Largest difference of a logit that counts as agreement.
const CLOSE: f32 = 2e-4;

fn tokens(n: u32) -> Vec<u32> {
    (0..n).map(|i| (i * i * 7 + 13 * i) % 2048).collect()
}

/// A net whose weights are what bf16 keeps of them.
fn rounded(member: Member) -> Net {
    let net = Net::new(&member.config(), 5, &Device::Cpu).unwrap();
    for param in net.params().values() {
        let kept = param.to_dtype(DType::BF16).unwrap().to_dtype(DType::F32).unwrap();
        param.set(&kept).unwrap();
    }
    net
}

#[test]
fn the_engine_computes_the_same_logits() {
    for member in Member::value_variants() {
        let root = tempfile::tempdir().unwrap();
        let net = rounded(*member);
        folder::write_small(root.path(), &member.config(), &words::learn(&[]).unwrap()).unwrap();
        folder::write(root.path(), &net, &Optimiser::default(), 0).unwrap();
        let n = 70;
        let tokens = tokens(n);
        let rows = Tensor::arange(0, n, &Device::Cpu).unwrap();
        let input = Tensor::from_slice(&tokens, (1, tokens.len()), &Device::Cpu).unwrap();
        let wanted = net.forward(&input, &rows).unwrap().logits.to_vec2::<f32>().unwrap();
        let found = engine(root.path(), &tokens).unwrap();
        for (i, (wanted, found)) in wanted.iter().zip(&found).enumerate() {
            let gap = wanted.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(gap < CLOSE, "{member:?}, row {i}: {gap}");
        }
    }
}

/// Logits of every row by the model that the folder holds.
fn engine(folder: &std::path::Path, tokens: &[u32]) -> Result<Vec<Vec<f32>>> {
    let options = LoadOptions::new(Device::Cpu);
    let model = load(folder, &options, &mut |_| ()).expect("a checkpoint that loads").model;
    let mut kv = model.new_kv(4)?;
    let n = tokens.len() as u32;
    let batch = Batch {
        tokens: tokens.to_vec(),
        positions: (0..n).collect(),
        slots: (0..n).collect(),
        starts: vec![0, n],
        contexts: vec![n],
        tables: vec![0, 1, 2, 3],
        table_width: 4,
        sample_rows: (0..n).collect(),
    };
    model.forward(&batch, &mut kv)?.to_vec2()
}

#[test]
fn every_parameter_is_taught() {
    for member in Member::value_variants() {
        let net = Net::new(&member.config(), 5, &Device::Cpu).unwrap();
        let tokens = Tensor::from_vec(tokens(96), (2, 48), &Device::Cpu).unwrap();
        let rows = Tensor::arange(0u32, 96, &Device::Cpu).unwrap();
        let loss = net.forward(&tokens, &rows).unwrap().logits.sqr().unwrap().mean_all().unwrap();
        let grads = loss.backward().unwrap();
        for (name, param) in net.params() {
            let grad = grads.get(param).unwrap_or_else(|| panic!("{member:?}: {name} has none"));
            let size = grad.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(size > 0.0, "{member:?}: {name}");
        }
    }
}

#[test]
fn a_grown_net_answers_as_the_smaller_one_did() {
    let (small, large) = (rounded(Member::Llama), rounded(Member::Judge));
    let weights = small.params().iter().map(|(name, p)| (name.clone(), p.as_tensor().clone()));
    let n_taken = large.grow(&weights.collect()).unwrap();
    assert_eq!(n_taken, small.params().len());
    let tokens = Tensor::from_vec(tokens(40), (1, 40), &Device::Cpu).unwrap();
    let rows = Tensor::arange(0u32, 40, &Device::Cpu).unwrap();
    let logits = |net: &Net| net.forward(&tokens, &rows).unwrap().logits;
    let gap = (logits(&small) - logits(&large)).unwrap().abs().unwrap().max_all().unwrap();
    assert!(gap.to_scalar::<f32>().unwrap() < 1e-5);
}

#[test]
fn lessons_repeat_and_never_show_what_is_held_out() {
    let recipe = training::recipe().unwrap();
    let teacher = Teacher::new(&recipe, words::tokenizer(&words::learn(&[]).unwrap()).unwrap());
    let teacher = teacher.unwrap();
    for subject in [Subject::Answer, Subject::Write, Subject::Judge, Subject::JudgeFirst] {
        let lesson = |share, i| teacher.lesson(subject, share, &mut Dice::nth(3, i)).unwrap();
        let one = lesson(Share::Training, 1);
        assert_eq!(one, lesson(Share::Training, 1));
        assert_ne!(one, lesson(Share::Training, 2));
        assert_ne!(one, lesson(Share::HeldOut, 1));
        assert!(one.is_learned.iter().any(|learned| *learned) && !one.is_learned[0]);
    }
}
