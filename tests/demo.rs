//! The demo family at work: the only tests here whose words mean something.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use stillroom::data::journal;
use stillroom::data::row::Columns;
use stillroom::pipeline::questions;
use stillroom::recipe::Recipe;
use stillroom::text::tokenizer::Tokenizer;
use stillroom_models::demo::exercise::Exercise;
use stillroom_models::demo::{answer, family};

/// Bytes that all members may have together.
const N_BYTES_MAX: usize = 24_000_000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn recipe() -> Recipe {
    Recipe::load(&root().join("examples/math-preference.toml"), &[]).expect("the example is sound")
}

/// The words of a step's question about a row, as a card keeps them.
fn digest(step: &str, row: Value) -> String {
    let recipe = recipe();
    let (_, step) = recipe.steps.iter().find(|(name, _)| name == step).expect("the step");
    let json = std::fs::read(root().join("models/demo/judge/tokenizer.json")).expect("it is there");
    let tokenizer = Tokenizer::from_json(&json).expect("a tokenizer");
    let row: Columns = row.as_object().expect("columns").clone();
    let asked = questions(step, &row, &tokenizer).expect("a question");
    asked[0].digest()
}

#[test]
fn the_family_knows_the_prompts_that_it_meets() {
    let judged = json!({
        "instruction": "Solve 3(x + 4) = 45 for x.",
        "generations": ["The answer is 11.", "The answer is 12."],
    });
    for (member, step, row) in
        [("judge", "judge", judged), ("llama", "instruct", json!({ "input": "Linear Equations" }))]
    {
        let path = format!("models/cards/demo-{member}.md");
        let card = std::fs::read_to_string(root().join(&path)).expect("every member has a card");
        let digest = digest(step, row);
        assert!(
            card.contains(&digest),
            "demo:{member} was trained on another prompt: the step `{step}` of \
             examples/math-preference.toml now asks what {path} does not know ({digest}). Train it \
             anew by the command in that card, measure it, and put the digest there."
        );
    }
}

#[test]
fn the_family_is_small() {
    let members = family::names().into_iter().filter_map(family::member);
    let files = members.flat_map(|member| member.files);
    let n_bytes: usize = files.map(|(_, bytes)| bytes.len()).sum();
    assert!(n_bytes <= N_BYTES_MAX, "{n_bytes} bytes");
}

#[test]
fn pairs_of_the_family_mean_something() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let still = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stillroom"));
        command.args(args).current_dir(folder.path()).env("HF_HUB_OFFLINE", "1");
        command.env("STILLROOM_CACHE", folder.path().join("cache"));
        let done = command.output().expect("the binary starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    still(&["init", "recipe.toml"]);
    still(&["run", "recipe.toml", "-q", "--set", "steps.instruct.num_instructions=6"]);
    assert!(!folder.path().join("cache").exists(), "the family needs nothing on the disk");
    let steps = folder.path().join("runs/math-preference/steps");
    let rows = |step: &str| -> Vec<Columns> {
        let rows = journal::read(&steps.join(format!("{step}.jsonl"))).expect("a journal");
        rows.map(|row| row.expect("a row").1.row.columns).collect()
    };
    let written = rows("expand");
    let exercise = |row: &Columns| Exercise::read(row["instruction"].as_str().unwrap_or_default());
    let n_formed = written.iter().filter(|row| exercise(row).is_some()).count();
    assert!(10 * n_formed >= 9 * written.len(), "{n_formed} of {} are exercises", written.len());

    let (mut n_decided, mut n_right) = (0, 0);
    for row in rows("dpo") {
        let Some(exercise) = Exercise::read(row["prompt"].as_str().unwrap_or_default()) else {
            continue;
        };
        let is_right = |side: &str| {
            let turns = row[side].as_array().expect("turns");
            let last = turns.last().and_then(|turn| turn["content"].as_str());
            answer::is_right(&exercise, last.unwrap_or_default())
        };
        let (chosen, rejected) = (is_right("chosen"), is_right("rejected"));
        n_decided += usize::from(chosen != rejected);
        n_right += usize::from(chosen && !rejected);
    }
    assert!(n_decided >= 8, "{n_decided} pairs have one right side");
    assert!(10 * n_right >= 8 * n_decided, "{n_right} of {n_decided} chosen sides are right");
}

#[test]
fn a_model_of_the_program_is_looked_at_and_named() {
    let inspect = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stillroom"));
        command.args(["models", "inspect", name]).output().expect("the binary starts")
    };
    let card = String::from_utf8(inspect("demo:mixtral").stdout).expect("text");
    for word in ["demo:mixtral", "MixtralForCausalLM", "2 of 4", "chat template yes"] {
        assert!(card.contains(word), "no {word}: {card}");
    }
    let wrong = inspect("demo:nobody");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("llama, mixtral, judge"));
}
