//! Runs that end at the Hub, through the binary. Their rows are written down with their ratings, so
//! that no model is needed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::bench::count;
use crate::server::{Server, TOKEN, Trick};

const RECIPE: &str = r#"
name = "rated"
flow = "load >> [dpo, keep] >> push"

[steps.load]
type = "LoadDataFromFileSystem"
path = "rated.jsonl"

[steps.dpo]
type = "FormatTextGenerationDPO"

[steps.keep]
type = "KeepColumns"
columns = ["instruction"]

[steps.push]
type = "PushToHub"
repo_id = "me/rated"
private = true
"#;

pub(crate) struct Still {
    pub(crate) server: Server,
    folder: TempDir,
}

pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Still {
    pub(crate) fn new() -> Self {
        let still = Self { server: Server::new(), folder: tempfile::tempdir().expect("a folder") };
        still.write("recipe.toml", RECIPE);
        still.rate(12);
        still
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the folder can be written");
    }

    /// Writes rated rows.
    pub(crate) fn rate(&self, n: usize) {
        let row = |n: usize| {
            let text = format!("Ünd {n} 👍");
            serde_json::json!({
                "instruction": format!("Count to {n}."), "generations": [text, "no"],
                "ratings": [5, 1 + n % 3], "model_names": ["a", "b"],
            })
        };
        let rows: Vec<String> = (0..n).map(|n| row(n).to_string()).collect();
        self.write("rated.jsonl", &rows.join("\n"));
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stillroom"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("STILLROOM_CACHE", self.path("cache")).env("HF_HOME", self.path("hf"));
        command.env("HF_ENDPOINT", self.server.endpoint()).env("HF_TOKEN", TOKEN);
        command.env_remove("HF_HUB_OFFLINE").env_remove("HF_TOKEN_PATH");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        Done::of(self.command(args))
    }
}

impl Done {
    /// What a command does.
    pub(crate) fn of(mut command: Command) -> Self {
        let output = command.output().expect("the binary starts");
        let done = Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        assert!(!done.stdout.contains(TOKEN) && !done.stderr.contains(TOKEN), "the token is shown");
        done
    }
}

/// No file below the folder holds the token.
fn expect_no_token(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            expect_no_token(&path);
        } else {
            let bytes = fs::read(&path).expect("a file");
            let holds = bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
            assert!(!holds, "the token is in {}", path.display());
        }
    }
}

#[test]
fn a_run_ends_at_the_hub_and_again_with_nothing_new() {
    let still = Still::new();
    let done = still.run(&["run", "recipe.toml"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let commits = still.server.commits("me/rated");
    let url =
        format!("pushed: {}/datasets/me/rated/commit/{}", still.server.endpoint(), commits[1].oid);
    assert!(done.stdout.ends_with(&format!("{url}\n")), "{}", done.stdout);
    assert!(still.server.with(|state| state.repos["me/rated"].is_private));
    let names: Vec<_> = commits[1].files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            ".gitattributes",
            "README.md",
            "dpo/train-00000-of-00001.parquet",
            "keep/train-00000-of-00001.parquet",
            "recipe.toml",
            "report.html"
        ]
    );
    assert_eq!(commits[1].message, "24 rows by stillroom 0.1.0");
    assert!(!still.path("runs/rated/steps/push.jsonl").exists());
    expect_no_token(&still.path("runs"));

    let again = still.run(&["run", "recipe.toml", "--json"]);
    let events: Vec<Value> =
        again.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [.., pushed, summary] = events.as_slice() else { panic!("{}", again.stdout) };
    assert_eq!((&pushed["event"], &pushed["new"]), (&"pushed".into(), &false.into()));
    assert_eq!(summary["event"], "summary");
    assert_eq!(still.server.commits("me/rated").len(), 2);

    // Fewer leaves, other folders: what the earlier push left there goes.
    let recipe = RECIPE.replace("[dpo, keep] >> push", "dpo >> push");
    let recipe = recipe.split("[steps.keep]").next().unwrap().to_owned()
        + "[steps.push]\ntype = \"PushToHub\"\nrepo_id = \"me/rated\"\n";
    still.write("recipe.toml", &recipe);
    still.server.with(|state| state.put("me/rated", &[("keep/notes.md", "mine")]));
    let done = still.run(&["run", "recipe.toml", "-q"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let last = still.server.commits("me/rated").pop().unwrap();
    assert!(last.files.keys().any(|name| name == "data/train-00000-of-00001.parquet"));
    let left: Vec<_> =
        last.files.keys().filter(|n| n.starts_with("dpo/") || n.starts_with("keep/")).collect();
    assert_eq!(left, ["keep/notes.md"]);
}

#[test]
fn a_push_that_fails_leaves_a_finished_run_and_the_command() {
    let still = Still::new();
    still.server.play("/commit/", Trick::Status(403));
    let done = still.run(&["run", "recipe.toml"]);
    assert_eq!(done.code, 4, "{}", done.stderr);
    assert!(done.stdout.contains("data set: runs/rated/dataset"), "{}", done.stdout);
    let words: Vec<_> = done.stderr.split_whitespace().collect();
    let told = words.join(" ");
    assert!(told.contains("the run is finished, but was not pushed"), "{told}");
    let command = "stillroom push hub runs/rated --repo me/rated --private";
    assert!(told.contains(command), "{told}");
    let args: Vec<_> = command.split(' ').skip(1).collect();
    let done = still.run(&args);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(still.server.commits("me/rated").len(), 2);
    still.server.play("/revision/", Trick::Status(403));
    let done = still.run(&["run", "recipe.toml", "--json", "-q"]);
    let last: Value = serde_json::from_str(done.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((done.code, &last["event"], &last["exit_code"]), (4, &"error".into(), &4.into()));
}

#[test]
fn what_cannot_be_pushed_is_told_before_anything_runs() {
    let still = Still::new();
    let mut command = still.command(&["run", "recipe.toml"]);
    command.env_remove("HF_TOKEN");
    let done = Done::of(command);
    assert_eq!(done.code, 4, "{}", done.stderr);
    assert!(done.stderr.contains("HF_TOKEN"), "{}", done.stderr);
    assert!(!still.path("runs").exists());
    let other = still.run(&["run", "recipe.toml", "--set", "steps.push.repo_id=you/rated"]);
    assert!(other.stderr.contains("may not push to you/rated"), "{}", other.stderr);
    assert!(!still.path("runs").exists());
    assert!(still.server.with(|state| state.repos.is_empty()));
}

#[test]
fn offline_limited_and_dry_runs_push_nothing() {
    let still = Still::new();
    for (flags, why) in [(vec!["--offline"], "offline"), (vec!["--limit", "3"], "a limited run")] {
        let done = still.run(&[&["run", "recipe.toml"], &flags[..]].concat());
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert!(done.stderr.contains("nothing was pushed") && done.stderr.contains(why));
        assert!(done.stderr.contains("stillroom push hub runs/rated --repo me/rated --private"));
    }
    let done = still.run(&["run", "recipe.toml", "--dry-run"]);
    assert_eq!((done.code, done.stderr.contains("push")), (0, false), "{}", done.stderr);
    assert!(still.server.asked().is_empty());
}

#[test]
fn a_dry_push_lists_and_json_is_whole() {
    let still = Still::new();
    assert_eq!(still.run(&["run", "recipe.toml", "--offline", "-q"]).code, 0);
    let push = ["push", "hub", "runs/rated", "--repo", "me/rated"];
    let dry = still.run(&[&push[..], &["--dry-run", "--private"]].concat());
    assert!(dry.stdout.contains("make    the private repository me/rated"), "{}", dry.stdout);
    assert!(dry.stdout.contains("send    dpo/train-00000-of-00001.parquet ("), "{}", dry.stdout);
    assert!(still.server.with(|state| state.repos.is_empty()));
    let more = ["--json", "--message", "Rated\n\nBy hand.", "--revision", "v2"];
    let done = still.run(&[&push[..], &more].concat());
    let told: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(
        (&told["new"], &told["created"], &told["revision"]),
        (&true.into(), &true.into(), &"v2".into())
    );
    assert_eq!(told["sent"].as_array().unwrap().len(), 5);
    let message =
        still.server.with(|state| state.repos["me/rated"].at("v2").unwrap().message.clone());
    assert_eq!(message, "Rated\nBy hand.");
    let own = still.run(&["push", "hub", "runs/rated", "--repo", "mine"]);
    assert!(own.stdout.contains("/datasets/me/mine/commit/"), "{}", own.stdout);
}

#[test]
fn what_is_no_finished_data_set_is_refused_before_anything_is_asked() {
    let still = Still::new();
    let check = |code: i32, words: &[&str]| {
        let done = still.run(&["push", "hub", "runs/rated", "--repo", "me/rated"]);
        assert_eq!(done.code, code, "{}", done.stderr);
        let told = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        words.iter().for_each(|word| assert!(told.contains(word), "{word}: {told}"));
    };
    check(2, &["there is no folder runs/rated"]);
    assert_eq!(still.run(&["run", "recipe.toml", "--offline", "-q"]).code, 0);
    let card = still.path("runs/rated/dataset/README.md");
    let text = fs::read_to_string(&card).unwrap();
    fs::write(&card, text.replace("num_examples: 12", "num_examples: 13")).unwrap();
    check(3, &["the card says: `num_examples: 13`", "the files say: `num_examples: 12`"]);
    fs::write(&card, text).unwrap();
    fs::remove_file(still.path("runs/rated/report.html")).unwrap();
    check(2, &["no report.html", "stillroom report RUN"]);
    let events = still.path("runs/rated/events.jsonl");
    let started = fs::read_to_string(&events).unwrap() + "{\"event\": \"started\"}\n";
    fs::write(&events, started).unwrap();
    check(2, &["has not finished"]);
    assert_eq!(count(&still.server.asked(), ""), 0);
    let done = still.run(&["push", "hub", "runs/rated", "--repo", "a/b/c"]);
    assert_eq!(done.code, 2, "{}", done.stderr);
    let mut command = still.command(&["push", "hub", "runs/rated", "--repo", "me/rated"]);
    command.env("HF_HUB_OFFLINE", "1");
    assert_ne!(Done::of(command).code, 0);
}

#[test]
fn a_run_without_rows_pushes_nothing() {
    let still = Still::new();
    still.write(
        "rated.jsonl",
        "{\"instruction\": \"x\", \"generations\": [\"a\", \"a\"], \"ratings\": [1, 1]}",
    );
    let recipe = RECIPE.replace("[dpo, keep]", "dpo");
    let (head, tail) = recipe.split_once("[steps.keep]").unwrap();
    still.write("recipe.toml", &(head.to_owned() + tail.split_once("]\n").unwrap().1));
    let done = still.run(&["run", "recipe.toml"]);
    assert_eq!(done.code, 4, "{}", done.stderr);
    assert!(done.stderr.contains("there is no data set"), "{}", done.stderr);
    assert!(still.server.with(|state| state.repos.is_empty()));
}
