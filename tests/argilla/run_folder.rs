//! A run whose rows hold answers and ratings, made by the program itself and without any model.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// What a command did.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A folder with a recipe, its data and its run.
pub(crate) struct RunFolder {
    folder: TempDir,
}

const RECIPE: &str = r#"
name = "small"
flow = "load >> [dpo, argilla]"

[steps.load]
type = "LoadDataFromFileSystem"
path = "rows.jsonl"

[steps.dpo]
type = "FormatTextGenerationDPO"

[steps.argilla]
type = "PreferenceToArgilla"
num_generations = 2
dataset_name = "answers"
"#;

/// The same without a step that pushes.
pub(crate) const PAIRS: &str = r#"
name = "small"
flow = "load >> dpo"

[steps.load]
type = "LoadDataFromFileSystem"
path = "rows.jsonl"

[steps.dpo]
type = "FormatTextGenerationDPO"
"#;

/// The key of the tests, which must be nowhere.
pub(crate) const KEY: &str = "owner.key";

/// A judged row: the judge prefers the second answer.
pub(crate) fn row(i: usize) -> Value {
    json!({
        "instruction": format!("How much is {i} and 1?"),
        "generations": [format!("It is {}.", i + 1), format!("It is {i}.")],
        "model_names": ["org/a", "org/b"], "model_name": "org/judge",
        "ratings": [2, 3.4], "rationales": ["Short.", "Longer."],
        "ratings_probabilities": [[0.0, 0.8, 0.1, 0.1, 0.0], [0.0, 0.1, 0.6, 0.3, 0.0]],
    })
}

impl RunFolder {
    /// A run of these rows.
    pub(crate) fn new(rows: &[Value]) -> Self {
        Self::of(RECIPE, rows)
    }

    /// A run of a recipe, named `small`, over these rows in `rows.jsonl`.
    pub(crate) fn of(recipe: &str, rows: &[Value]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut lines = String::new();
        rows.iter().for_each(|row| writeln!(lines, "{row}").expect("a text grows"));
        let run = Self { folder };
        run.write("rows.jsonl", &lines);
        run.write("recipe.toml", recipe);
        run.succeed(&["run", "recipe.toml", "--quiet"]);
        run
    }

    /// A run of so many rows.
    pub(crate) fn with_rows(n: usize) -> Self {
        Self::new(&(0..n).map(row).collect::<Vec<_>>())
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The run's folder.
    pub(crate) fn run(&self) -> PathBuf {
        self.path().join("runs/small")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("the folder can be written");
    }

    /// The rows of a file of the run.
    pub(crate) fn rows(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.run().join(name)).expect("the file is there");
        text.lines().map(|line| serde_json::from_str(line).expect("a row")).collect()
    }

    /// `WORDS runs/small OPTIONS`, with Argilla at `url`.
    pub(crate) fn command(&self, url: &str, words: &[&str], options: &[&str]) -> Done {
        let words = words.iter().chain(&["runs/small"]).chain(options).copied();
        self.start(url, &words.collect::<Vec<_>>())
    }

    /// What `stillroom plan` says of the recipe.
    pub(crate) fn plan(&self, options: &[&str]) -> String {
        let words = ["plan", "recipe.toml"].iter().chain(options).copied();
        let done = self.start("", &words.collect::<Vec<_>>());
        done.stdout + &done.stderr
    }

    /// A command that has nothing to do with Argilla and must succeed: a run brings nothing there.
    pub(crate) fn succeed(&self, words: &[&str]) {
        let offline = if words[0] == "run" { &["--offline"][..] } else { &[] };
        let done = self.start("", &[words, offline].concat());
        assert_eq!(done.code, 0, "{words:?}: {}", done.stderr);
    }

    /// A command, with Argilla at `url`.
    pub(crate) fn start(&self, url: &str, words: &[&str]) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stillroom"));
        command.args(words).current_dir(self.path()).stdin(Stdio::null()).env("NO_COLOR", "1");
        command.env("ARGILLA_API_URL", url).env("ARGILLA_API_KEY", KEY).env_remove("HF_TOKEN");
        let done: Output = command.output().expect("the binary starts");
        Done {
            code: done.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
        }
    }
}
