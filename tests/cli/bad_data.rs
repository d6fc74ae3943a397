//! Data that is not what it should be: counted, named, and nothing else lost.

use crate::still::{PROMPTS, Still};

/// Runs the small recipe over `data`; returns the rows that came through to the judge and the
/// reasons of those that did not.
fn run_over(data: impl AsRef<[u8]>) -> (usize, String) {
    let still = Still::new();
    still.write("prompts.jsonl", data);
    still.succeed(&["run", "recipe.toml", "-q"]);
    let judged = still.lines("runs/small/steps/judge.jsonl").len();
    (judged, still.read("runs/small/dropped.jsonl"))
}

#[test]
fn a_bad_line_costs_itself() {
    let good: Vec<&str> = PROMPTS.lines().collect();
    let lines = [good[0], "{\"instruction\": \"cut", good[1], "{\"question\": 1}", good[2]];
    let mut data = lines.join("\n").into_bytes();
    data.extend(b"\n{\"instruction\": \"\xff\xfe\"}\n{\"instruction\": \"  \"}\n");
    let (n_judged, dropped) = run_over(data);
    assert_eq!(n_judged, 3, "{dropped}");
    for reason in ["not valid JSON", "not valid UTF-8", "no column `instruction`", "empty prompt"] {
        assert!(dropped.contains(reason), "no {reason}: {dropped}");
    }
}

#[test]
fn a_prompt_longer_than_the_context_costs_itself() {
    let long = format!("{{\"instruction\": \"{}\"}}\n", "word and ".repeat(20_000));
    let (n_judged, dropped) = run_over(format!("{long}{PROMPTS}"));
    assert_eq!(n_judged, 5);
    assert!(dropped.contains("context"), "{}", &dropped[..dropped.len().min(2000)]);
}

#[test]
fn ten_megabytes_in_one_line_cost_themselves() {
    let long = format!("{{\"instruction\": \"{}\"}}\n", "a".repeat(10 << 20));
    let (n_judged, dropped) = run_over(format!("{PROMPTS}{long}"));
    assert_eq!(n_judged, 5);
    assert!(dropped.len() < 1 << 20, "the line itself is not kept");
}

#[test]
fn no_data_is_an_error_that_names_the_file() {
    let still = Still::new();
    still.write("prompts.jsonl", "");
    still.fail(&["run", "recipe.toml"], 3, &["prompts.jsonl", "no rows"]);
    let set = ["run", "recipe.toml", "--set", "steps.load.path=nowhere.jsonl"];
    still.fail(&set, 3, &["nowhere.jsonl"]);
    let set = ["run", "recipe.toml", "--set", "steps.load.path=prompts.xml"];
    still.fail(&set, 2, &["prompts.xml", ".parquet"]);
}

#[test]
fn a_file_without_the_column_is_a_fault_of_the_recipe() {
    let still = Still::new();
    still.write("prompts.jsonl", "{\"turns\": [\"Add 1 and 2.\", \"And 3?\"]}\n");
    still.fail(&["run", "recipe.toml"], 2, &["`instruction`", "`turns`"]);
    let set = "steps.load.columns.instruction=\"turns[0]\"";
    still.succeed(&["run", "recipe.toml", "--set", set]);
    assert!(still.read("runs/small/steps/judge.jsonl").contains("Add 1 and 2."));
}
