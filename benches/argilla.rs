//! A push of many records: its rate, and its memory, which must not grow with them.
//!
//! `cargo bench --bench argilla` pushes 1,000 and 100,000 rows to a stand-in on the loopback device
//! and prints seconds, records a second and the pushing process's peak memory. The pushing process
//! is the bench itself, called with `--push RUN URL`; the stand-in is in the other one and forgets
//! what it is sent. Each row has two answers of 200 words.

#[allow(dead_code, reason = "the stories of the tests need more of it")]
#[path = "../tests/argilla/stand_in.rs"]
mod stand_in;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use serde_json::{Value, json};
use stillroom::argilla::ArgillaAccess;
use stillroom::data::journal::{Entry, Journal, Origin};
use stillroom::data::row::Roots;
use stillroom::pipeline::{ArgillaOptions, push_argilla};

/// Words of an answer, as in the other measurements.
const N_WORDS: usize = 200;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let push = arguments.iter().position(|argument| argument == "--push");
    if let Some([run, url]) = push.and_then(|at| arguments.get(at + 1..at + 3)) {
        measure(Path::new(run), url);
        return ExitCode::SUCCESS;
    }
    for n_rows in [1000, 1000, 100_000] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write(folder.path(), n_rows);
        let argilla = stand_in::StandIn::new();
        argilla.state().forgets = true;
        let own = std::env::current_exe().expect("the bench has a path");
        let mut child = Command::new(own);
        child.arg("--push").arg(folder.path()).arg(argilla.url());
        assert!(child.status().expect("the bench starts").success());
        assert_eq!(argilla.state().sets[0].records.len(), n_rows);
    }
    ExitCode::SUCCESS
}

/// Pushes a run and prints what it took.
fn measure(run: &Path, url: &str) {
    let env = |name: &str| (name == "ARGILLA_API_KEY").then(|| "owner.key".to_owned());
    let options = ArgillaOptions {
        access: ArgillaAccess::read(&env, Some(url.to_owned()), false),
        step: None,
        dataset: None,
        workspace: None,
        num_generations: None,
        dry_run: false,
    };
    let started = Instant::now();
    let pushed = push_argilla(run, &options, &mut |_| ()).expect("the push goes through");
    let seconds = started.elapsed().as_secs_f64();
    let n = pushed.n_created;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = peak.and_then(|p| p.trim().split(' ').next()?.parse().ok()).unwrap_or(0.0);
    println!(
        "{n:>7} records: {seconds:6.2} s, {:6.0} records/s, peak {:5.1} MiB",
        n as f64 / seconds,
        kib / 1024.0
    );
}

/// A run's folder as the pipeline leaves it, with so many judged rows.
fn write(folder: &Path, n_rows: usize) {
    std::fs::create_dir(folder.join("steps")).expect("a folder");
    let recipe = "name = \"bench\"\n[steps.argilla]\ntype = \"PreferenceToArgilla\"\n\
                  num_generations = 2\ndataset_name = \"bench\"\n";
    std::fs::write(folder.join("recipe.toml"), recipe).expect("a file");
    let plan = json!({"name": "bench", "steps": [{"name": "argilla"}]});
    std::fs::write(folder.join("plan.json"), plan.to_string()).expect("a file");
    let (mut journal, _) = Journal::open(&folder.join("steps/argilla.jsonl")).expect("a journal");
    let mut roots = Roots::default();
    for i in 0..n_rows {
        let row = roots.row(row(i).as_object().expect("columns").clone());
        journal.append(&Entry { row, origin: Origin::root() }).expect("a disk");
    }
    journal.sync().expect("a disk");
}

fn row(i: usize) -> Value {
    let answer = |word: &str| vec![word; N_WORDS].join(" ");
    json!({
        "instruction": format!("What is {i}?"), "generations": [answer("this"), answer("that")],
        "model_names": ["org/a", "org/b"], "model_name": "org/judge", "ratings": [3.4, 2.1],
        "rationales": [answer("good"), answer("bad")], "ratings_flip": false,
        "ratings_probabilities": [[0.0, 0.1, 0.6, 0.3, 0.0], [0.1, 0.8, 0.1, 0.0, 0.0]],
    })
}
