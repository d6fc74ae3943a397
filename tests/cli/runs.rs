//! Runs: fresh, again, changed, interrupted, refused.

use std::fs::{self, File};

use serde_json::Value;

use crate::still::{Done, Still};

#[test]
fn a_run_leaves_a_data_set_and_says_so() {
    let still = Still::new();
    let done = still.succeed(&["run", "recipe.toml"]);
    assert!(done.stderr.starts_with("stillroom "), "{}", done.stderr);
    assert!(done.stdout.contains("data set: runs/small/dataset"), "{}", done.stdout);
    for name in ["recipe.toml", "plan.json", "events.jsonl", "dataset/README.md"] {
        assert!(still.path("runs/small").join(name).exists(), "{name}");
    }
    for row in still.read("runs/small/steps/judge.jsonl").lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        assert!(row.to_string().contains("ratings"), "{row}");
    }
}

#[test]
fn the_same_command_again_makes_nothing_anew() {
    let still = Still::new();
    still.succeed(&["run", "recipe.toml", "--out", "here", "-q"]);
    let before = still.lines("here/steps/judge.jsonl");
    let again = still.succeed(&["run", "recipe.toml", "--out", "here"]);
    assert!(again.stdout.contains("from before"), "{}", again.stdout);
    assert_eq!(still.lines("here/steps/judge.jsonl"), before);
    still.succeed(&["run", "recipe.toml", "--out", "there", "-q"]);
    assert_eq!(still.lines("there/steps/judge.jsonl"), before);
}

#[test]
fn an_override_reaches_the_run_and_only_what_comes_after_it() {
    let still = Still::new();
    still.succeed(&["run", "recipe.toml", "-q"]);
    let llama = still.lines("runs/small/steps/answer_llama.jsonl");
    let set = ["--set", "steps.answer_mixtral.generation.max_new_tokens=4"];
    let done = still.succeed(&[&["run", "recipe.toml", "--json", "-q"], &set[..]].concat());
    let summary = summary(&done);
    for rows in summary["rows"].as_array().unwrap() {
        let is_new = !["load", "answer_llama"].contains(&rows["step"].as_str().unwrap());
        assert_eq!(rows["n_made"].as_u64().unwrap() > 0, is_new, "{rows}");
    }
    assert_eq!(still.lines("runs/small/steps/answer_llama.jsonl"), llama);
    assert!(still.read("runs/small/recipe.toml").contains("max_new_tokens = 4"));
}

#[test]
fn events_are_json_lines_with_a_version() {
    let still = Still::new();
    let done = still.succeed(&["run", "recipe.toml", "--json", "--limit", "2"]);
    let events: Vec<Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|event| event["schema_version"] == 1));
    assert_eq!(events[0]["event"], "planned");
    assert_eq!(summary(&done)["n_roots"], 2);
}

fn summary(done: &Done) -> Value {
    let last = done.stdout.lines().last().expect("a line on stdout");
    let mut last: Value = serde_json::from_str(last).expect("a JSON line");
    assert_eq!(last["event"], "summary");
    last["summary"].take()
}

#[test]
fn a_dry_run_sends_one_row_through_and_keeps_nothing() {
    let still = Still::new();
    let done = still.succeed(&["run", "recipe.toml", "--dry-run"]);
    assert!(done.stdout.contains("dry run"), "{}", done.stdout);
    assert!(!still.path("runs").exists());
}

#[test]
fn quiet_is_quiet() {
    let still = Still::new();
    let done = still.succeed(&["run", "recipe.toml", "-q", "--limit", "1"]);
    assert_eq!(done.stderr, "");
}

#[test]
fn a_folder_in_use_or_out_of_reach_is_refused() {
    let still = Still::new();
    fs::create_dir(still.path("held")).unwrap();
    let lock = File::create(still.path("held/.lock")).unwrap();
    lock.lock().unwrap();
    still.fail(&["run", "recipe.toml", "--out", "held"], 3, &["held", "in use", "--out"]);
    still.write("file", "");
    still.fail(&["run", "recipe.toml", "--out", "file/below"], 3, &["file/below"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_keeps_its_rows_and_goes_on() {
    use std::process::{Command, Stdio};
    let still = Still::new();
    let prompts: String =
        (0..400).map(|n| format!("{{\"instruction\": \"Count {n}.\"}}\n")).collect();
    still.write("prompts.jsonl", &prompts);
    let mut command = still.command(&["run", "recipe.toml", "--out", "cut", "--json"]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut events = std::io::BufReader::new(child.stdout.take().unwrap());
    wait_for_row(&mut events);
    let signalled = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    let rest = std::io::read_to_string(&mut events).unwrap();
    let last: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["exit_code"]), (&"error".into(), &130.into()), "{last}");
    let done = Done::from(child.wait_with_output().unwrap());
    assert_eq!(done.code, 130, "{}", done.stderr);
    assert!(done.stderr.contains("run recipe.toml --out cut --json"), "{}", done.stderr);
    let kept = still.lines("cut/steps/answer_llama.jsonl").len();
    assert!(kept > 0);
    still.succeed(&["run", "recipe.toml", "--out", "cut", "-q"]);
    still.succeed(&["run", "recipe.toml", "--out", "whole", "-q"]);
    for step in ["answer_llama", "answer_mixtral", "judge", "dpo"] {
        let name = format!("steps/{step}.jsonl");
        let (cut, whole) =
            (still.lines(&format!("cut/{name}")), still.lines(&format!("whole/{name}")));
        assert_eq!(cut, whole, "{step}");
    }
}

/// Reads events until a row was answered.
#[cfg(unix)]
fn wait_for_row(events: &mut impl std::io::BufRead) {
    let mut line = String::new();
    while !line.contains("\"answered\"") {
        line.clear();
        assert!(
            events.read_line(&mut line).expect("a pipe") > 0,
            "the run ended before a row was done"
        );
    }
}
