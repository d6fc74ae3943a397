//! Whether a judge's answer can be unreadable: ten thousand calls of a judge with random weights.
//!
//! `cargo bench --bench judge` (`-- --rows N` for another number; five calls a row). The answers hold
//! our own markers, filled forms, braces, line breaks, control characters and control tokens of other
//! templates; every hundredth row has an answer of 8,000 tokens and more. It fails unless every call
//! gave a rating for each answer and every row came through.

#[path = "../tests/pipeline/nasty.rs"]
mod nasty;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use stillroom::llm::ModelFolder;
use stillroom::pipeline::{LocalModels, RunOptions, run};
use stillroom::recipe::Recipe;

/// Rows when nobody says how many: ten thousand calls.
const N_ROWS: usize = 2000;

/// Tokens of a long answer, at least.
const N_LONG_TOKENS: usize = 8000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let at = arguments.iter().position(|argument| argument == "--rows");
    let n_rows = at.and_then(|at| arguments.get(at + 1));
    let n_rows = n_rows.map_or(N_ROWS, |n| n.parse().expect("a number of rows"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let judge = nasty::judge(folder.path());
    let n_long_chars = n_long_chars(&judge);
    let path = folder.path().join("rows.jsonl");
    let mut lines = String::new();
    for i in 0..n_rows {
        let n_long = if i % 100 == 50 { n_long_chars } else { 0 };
        writeln!(lines, "{}", nasty::row(i, n_long)).expect("memory");
    }
    std::fs::write(&path, lines).expect("room on the disk");
    let recipe = Recipe::parse(
        &nasty::recipe_text(&judge, &path),
        "judge.toml",
        Path::new(""),
        &[],
        &|_| None,
    );
    let recipe = recipe.unwrap_or_else(|faults| panic!("{:#?}", faults.faults));
    let interrupt = AtomicBool::new(false);
    let out = folder.path().join("run");
    let options = RunOptions {
        out: out.clone(),
        limit: None,
        dry_run: false,
        layout: Default::default(),
        interrupt: &interrupt,
    };
    let mut models = LocalModels::new("cpu", folder.path()).expect("a CPU").memory(1 << 30);
    let started = Instant::now();
    let summary = run(&recipe, &options, &mut models, &mut ()).expect("the run ends well");
    let seconds = started.elapsed().as_secs_f64();
    let file = std::fs::File::open(out.join("steps/judge.jsonl")).expect("the judge's rows");
    let rows = BufReader::new(file).lines().map(|line| line.expect("a line"));
    let rows = rows.map(|line| serde_json::from_str(&line).expect("JSON"));
    let n_readable = rows.filter(nasty::is_readable).count();
    let tokens = summary.tokens["judge"];
    println!(
        "{} calls about {n_rows} rows, {} of them with an answer of {N_LONG_TOKENS} tokens or more",
        tokens.n_answers,
        (0..n_rows).filter(|i| i % 100 == 50).count(),
    );
    println!(
        "{} rows readable, {} dropped; {} tokens in ({} % cached), {} out, {seconds:.0} s",
        n_readable,
        summary.n_dropped(),
        tokens.n_input,
        100 * tokens.n_cached / tokens.n_input.max(1),
        tokens.n_output,
    );
    let is_whole = n_readable == n_rows && tokens.n_answers == 5 * n_rows as u64;
    if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Characters that make a long answer, by the judge's own tokenizer.
fn n_long_chars(judge: &Path) -> usize {
    let folder = ModelFolder::read(judge).expect("a model's folder");
    let mut n_chars = N_LONG_TOKENS;
    loop {
        let row = nasty::row(50, n_chars);
        let text = row["generations"][0].as_str().expect("a text");
        if folder.voice().tokenizer.encode(text).expect("tokens").len() >= N_LONG_TOKENS {
            return n_chars;
        }
        n_chars += N_LONG_TOKENS / 8;
    }
}
