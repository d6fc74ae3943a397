//! `stillroom export`: a run's pairs in every format, and what is refused.

use std::fs;

use serde_json::Value;

use crate::still::Still;

const FORMATS: [&str; 9] = [
    "trl",
    "trl-implicit",
    "trl-kto",
    "axolotl",
    "llama-factory",
    "nemo-rl",
    "openrlhf",
    "distilabel",
    "jsonl",
];

/// The small recipe, run.
fn run() -> Still {
    let still = Still::new();
    still.succeed(&["run", "recipe.toml", "-q"]);
    still
}

#[test]
fn every_format_is_written_named_and_clean() {
    let still = run();
    for format in FORMATS {
        let done = still.succeed(&["export", "runs/small", "--format", format]);
        let folder = still.path("runs/small/exports").join(format);
        let shown = folder.display().to_string();
        assert!(done.stderr.contains(&shown), "{format}: {}", done.stderr);
        assert!(done.stdout.contains(&shown), "{format}: {}", done.stdout);
        assert!(!done.stderr.contains("left out"), "{}", done.stderr);
        // What we write, our own lint reads, and holds for what the trainer reads.
        let folder = format!("runs/small/exports/{format}");
        let done = still.run(&["lint", &folder, "--format", format, "--json"]);
        let report: Value = serde_json::from_str(&done.stdout).unwrap();
        assert!(report["trainers"][format]["reads"].as_bool().unwrap(), "{format}: {report}");
        let rules: Vec<_> =
            report["findings"].as_array().unwrap().iter().map(|f| &f["rule"]).collect();
        assert!(!rules.iter().any(|rule| **rule == "schema"), "{format}: {report}");
    }
    assert!(still.read("runs/small/exports/llama-factory/dataset_info.json").contains("\"small\""));
}

#[test]
fn rows_stand_in_the_order_of_the_prompts() {
    let still = run();
    still.succeed(&["export", "runs/small", "--format", "jsonl", "--out", "out"]);
    // The journal in another order, as another batch size would leave it.
    let journal = "runs/small/steps/dpo.jsonl";
    let mut lines: Vec<String> = still.read(journal).lines().map(str::to_owned).collect();
    lines.reverse();
    still.write(journal, lines.join("\n") + "\n");
    still.succeed(&["export", "runs/small", "--format", "jsonl", "--out", "again"]);
    let rows = still.read("out/train.jsonl");
    assert_eq!(still.read("again/train.jsonl"), rows);
    let prompts: Vec<String> = rows
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["prompt"].to_string())
        .collect();
    let places: Vec<usize> = prompts
        .iter()
        .map(|prompt| {
            still.read("prompts.jsonl").find(prompt.as_str()).expect("one of the prompts")
        })
        .collect();
    assert!(places.len() > 1 && places.is_sorted(), "{prompts:?}");
}

#[test]
fn what_cannot_be_exported_is_said() {
    let still = run();
    let trl = ["--format", "trl"];
    let export = |args: &[&'static str]| [&["export", "runs/small"], args].concat();
    still.fail(&["export", "runs/small"], 2, &["--format"]);
    still.fail(&["export", "nowhere", "--format", "trl"], 2, &["nowhere is no run", "runs/NAME"]);
    still.fail(&export(&["--format", "trl", "--leaf", "judge"]), 2, &["no leaf", "`dpo`"]);
    fs::create_dir(still.path("mine")).unwrap();
    still.write("mine/notes.txt", "mine");
    still.fail(&export(&["--format", "trl", "--out", "mine"]), 2, &["mine", "--out"]);
    assert_eq!(still.read("mine/notes.txt"), "mine");
    still.write("runs/small/steps/dpo.jsonl", "");
    still.fail(&export(&trl), 2, &["holds no pairs", "`dpo`", "dropped.jsonl"]);
}

#[test]
fn of_several_leaves_one_is_named() {
    let still = Still::new();
    let recipe = still.read("recipe.toml").replace(">> judge >> dpo", ">> judge >> [dpo, other]");
    let other = "\n[steps.other]\ntype = \"FormatTextGenerationDPO\"\n";
    still.write("recipe.toml", recipe + other);
    still.succeed(&["run", "recipe.toml", "-q"]);
    let export = ["export", "runs/small", "--format", "trl"];
    still.fail(&export, 2, &["several leaves", "--leaf", "`dpo`, `other`"]);
    let done = still.succeed(&[&export[..], &["--leaf", "other"]].concat());
    assert!(done.stderr.contains("rows of other") || done.stderr.contains("row of other"));
}

#[test]
fn a_test_split_goes_along() {
    let still = Still::new();
    let recipe = still.read("recipe.toml").replace("seed = 3", "seed = 3\ntest_share = 0.5");
    still.write("recipe.toml", recipe);
    let prompts = (0..12).map(|i| format!("{{\"instruction\": \"Count to {i}.\"}}\n"));
    still.write("prompts.jsonl", prompts.collect::<String>());
    still.succeed(&["run", "recipe.toml", "-q"]);
    for format in ["trl", "jsonl"] {
        let done = still.succeed(&["export", "runs/small", "--format", format]);
        assert!(done.stderr.contains("for testing"), "{}", done.stderr);
        let folder = format!("runs/small/exports/{format}");
        let done = still.run(&["lint", &folder, "--json"]);
        let report: Value = serde_json::from_str(&done.stdout).unwrap();
        let splits: Vec<_> =
            report["files"].as_array().unwrap().iter().map(|file| &file["split"]).collect();
        assert_eq!(splits, ["test", "train"], "{report}");
        let rules: Vec<_> =
            report["findings"].as_array().unwrap().iter().map(|f| &f["rule"]).collect();
        assert!(!rules.iter().any(|rule| **rule == "split-leak"), "{report}");
    }
}
