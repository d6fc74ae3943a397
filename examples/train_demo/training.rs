//! The rounds of a training: lessons, steps, now and then a look at what was never shown.

use std::path::Path;
use std::time::Instant;

use candle_core::{D, Tensor};
use stillroom::recipe::Recipe;
use stillroom_models::demo::dice::Dice;
use stillroom_models::demo::exercise::Share;
use stillroom_models::device;

use super::batches::{Batch, batches};
use super::lessons::{Lesson, Subject, Teacher};
use super::net::Net;
use super::optimiser::Optimiser;
use super::{Args, Result, folder, words};

/// The prompts that the family learns.
const RECIPE: &str = "examples/math-preference.toml";
/// Lessons that the vocabulary is learnt from, of each subject.
const N_LESSONS_OF_WORDS: u64 = 1500;
/// Held-out lessons of each subject in a look.
const N_LOOK: u64 = 256;
/// Weight of the experts' even use.
const BALANCE: f64 = 0.01;
/// Rounds in which the rate rises, and the share of all rounds in which it falls.
const WARM_UP: f64 = 4.0;
const COOL_DOWN: f64 = 0.4;

/// Trains a model, or goes on with it.
pub(crate) fn train(args: &Args) -> Result<()> {
    let device = device(&args.device)?;
    let recipe = recipe()?;
    let file = vocabulary(&recipe)?;
    let teacher = Teacher::new(&recipe, words::tokenizer(&file)?)?;
    let config = args.member.config();
    folder::write_small(&args.folder, &config, &file)?;

    let mut net = Net::new(&config, args.seed, &device)?;
    let (mut optimiser, mut first) = (Optimiser::default(), 0);
    let names: Vec<&String> = net.params().keys().collect();
    if let Some(state) = folder::read(&args.folder, &names, &device)? {
        (optimiser, first) = (state.optimiser, state.n_rounds);
        net = Net::with_params(&config, state.params, &device)?;
        println!("going on after round {first}");
    } else if let Some(base) = &args.from {
        let n = net.grow(&folder::weights(base, &device)?)?;
        println!("{n} parameters grown from {}", base.display());
    }
    let n_params: usize = net.params().values().map(|p| p.elem_count()).sum();
    println!("{}: {n_params} parameters", args.member.name());
    let started = Instant::now();
    let last = args.until.unwrap_or(args.rounds).min(args.rounds);
    for round in first..last {
        let lessons = lessons(&teacher, args, round)?;
        let mut dice = Dice::nth(args.seed ^ 1, round as u64);
        let batches = batches(lessons, args.step_tokens, &mut dice, &device);
        let mut seen = Seen::default();
        for batch in batches? {
            let rate = args.rate * pace(round as f64, args.rounds as f64);
            seen.add(&batch, step(&net, &mut optimiser, &batch, rate)?);
        }
        let seconds = started.elapsed().as_secs_f64();
        let n_done = (round + 1 - first) as f64;
        println!(
            "round {round}: loss {:.4}, gradient {:.2}, {} tokens, {:.1} s a round, {:.0} s",
            seen.loss / seen.n_batches,
            seen.length / seen.n_batches,
            seen.n_tokens,
            seconds / n_done,
            seconds
        );
        if (round + 1) % args.every == 0 || round + 1 == last {
            folder::write(&args.folder, &net, &optimiser, round + 1)?;
            look(&net, &teacher, args)?;
        }
    }
    Ok(())
}

/// The recipe whose prompts are learned.
pub(crate) fn recipe() -> Result<Recipe> {
    Ok(Recipe::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join(RECIPE), &[])?)
}

/// What the steps of a round came to.
#[derive(Default)]
struct Seen {
    loss: f64,
    length: f64,
    n_batches: f64,
    n_tokens: usize,
}

impl Seen {
    fn add(&mut self, batch: &Batch, (loss, length): (f64, f64)) {
        self.loss += loss;
        self.length += length;
        self.n_batches += 1.0;
        self.n_tokens += batch.n_tokens;
    }
}

/// The vocabulary, learnt from lessons that are first spelled in bytes.
fn vocabulary(recipe: &Recipe) -> Result<serde_json::Value> {
    let speller = Teacher::new(recipe, words::tokenizer(&words::learn(&[])?)?)?;
    let mut texts = Vec::new();
    for subject in [Subject::Answer, Subject::Write, Subject::Judge, Subject::JudgeFirst] {
        for index in 0..N_LESSONS_OF_WORDS {
            let mut dice = Dice::nth(u64::MAX, index);
            let lesson = speller.lesson(subject, Share::Training, &mut dice)?;
            texts.extend(speller.texts(&lesson));
        }
    }
    words::learn(&texts)
}

fn lessons(teacher: &Teacher, args: &Args, round: usize) -> Result<Vec<Lesson>> {
    let subjects = args.member.subjects(args.writing);
    let lesson = |i: usize| {
        let mut dice = Dice::nth(args.seed, (round * args.lessons + i) as u64);
        let mut drawn = dice.bits() % 100;
        let subject = subjects.iter().find(|(_, share)| {
            let is_drawn = drawn < *share;
            drawn = drawn.saturating_sub(*share);
            is_drawn
        });
        let (subject, _) = subject.expect("the shares make a hundred");
        teacher.lesson(*subject, Share::Training, &mut dice)
    };
    (0..args.lessons).map(lesson).collect()
}

/// The rate's share: up, level, down to nothing.
fn pace(round: f64, n_rounds: f64) -> f64 {
    let up = (round + 1.0) / WARM_UP;
    let down = (n_rounds - round) / (n_rounds * COOL_DOWN);
    up.min(down).min(1.0)
}

/// One step; returns the loss and the gradient's length.
fn step(
    net: &Net,
    optimiser: &mut Optimiser,
    batch: &Batch,
    rate: f64,
) -> candle_core::Result<(f64, f64)> {
    let output = net.forward(&batch.tokens, &batch.rows)?;
    let logits = output.logits.broadcast_sub(&output.logits.detach().max_keepdim(D::Minus1)?)?;
    let all = logits.exp()?.sum(D::Minus1)?.log()?;
    let right = logits.gather(&batch.targets.unsqueeze(1)?, 1)?.squeeze(1)?;
    let loss = (all - right)?.mean_all()?;
    let whole = match output.imbalance {
        Some(imbalance) => (&loss + (imbalance * BALANCE)?)?,
        None => loss.clone(),
    };
    let grads = whole.backward()?;
    let length = optimiser.step(net.params(), &grads, rate)?;
    Ok((f64::from(loss.to_scalar::<f32>()?), length))
}

/// Tells how many held-out lessons the net gets right in every learned token: what it would write
/// itself, taking the likeliest token each time.
fn look(net: &Net, teacher: &Teacher, args: &Args) -> Result<()> {
    for (subject, _) in args.member.subjects(args.writing) {
        let lessons: Result<Vec<Lesson>> = (0..N_LOOK)
            .map(|i| teacher.lesson(subject, Share::HeldOut, &mut Dice::nth(1 << 40, i)))
            .collect();
        let mut dice = Dice::new(0);
        let device = net.params().values().next().expect("a net has parameters").device().clone();
        let batches = batches(lessons?, args.step_tokens, &mut dice, &device)?;
        let (mut n_right, mut n) = (0, 0);
        for batch in &batches {
            let (right, all) = whole(net, batch)?;
            n_right += right;
            n += all;
        }
        println!(
            "  held out, {subject:?}: {:.1} % of {n} whole",
            100.0 * n_right as f64 / n as f64
        );
    }
    Ok(())
}

/// Lessons of a batch without a wrong token, and all of them.
fn whole(net: &Net, batch: &Batch) -> candle_core::Result<(usize, usize)> {
    let best =
        net.forward(&batch.tokens, &batch.rows)?.logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
    let targets: Vec<u32> = Tensor::to_vec1(&batch.targets)?;
    let n_lessons = batch.lesson_of.last().map_or(0, |last| last + 1);
    let mut is_whole = vec![true; n_lessons];
    for ((best, target), lesson) in best.iter().zip(&targets).zip(&batch.lesson_of) {
        is_whole[*lesson] &= best == target;
    }
    Ok((is_whole.iter().filter(|whole| **whole).count(), n_lessons))
}
