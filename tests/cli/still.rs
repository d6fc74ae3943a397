//! A workbench for stories about the binary: a folder of its own, a recipe, and the command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use stillroom_models::tiny::{self, Shape};
use tempfile::TempDir;

/// A recipe that takes a second: two answers of eight tokens to each prompt, judged.
pub(crate) const RECIPE: &str = r#"
name = "small"
seed = 3
flow = "load >> [answer_llama, answer_mixtral] >> group >> judge >> dpo"

[models.llama]
source = "tiny:llama"
[models.mixtral]
source = "tiny:mixtral"
[models.judge]
source = "tiny:judge"

[steps.load]
type = "LoadDataFromFileSystem"
path = "prompts.jsonl"

[steps.answer_llama]
type = "TextGeneration"
model = "llama"
generation = { max_new_tokens = 8 }

[steps.answer_mixtral]
type = "TextGeneration"
model = "mixtral"
generation = { max_new_tokens = 8 }

[steps.group]
type = "GroupColumns"
columns = ["generation", "model_name"]
output_columns = ["generations", "model_names"]

[steps.judge]
type = "UltraFeedback"
model = "judge"
max_rationale_tokens = 8
generation = { max_new_tokens = 256 }

[steps.dpo]
type = "FormatTextGenerationDPO"
"#;

/// Five prompts.
pub(crate) const PROMPTS: &str = r#"{"instruction": "Add 1 and 2."}
{"instruction": "Name a prime above ten."}
{"instruction": "Why is the sky blue?"}
{"instruction": "Write one line about rain."}
{"instruction": "Spell the word house."}
"#;

/// A folder with a recipe and prompts in it.
pub(crate) struct Still {
    folder: TempDir,
}

/// What a command did.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Still {
    /// The small recipe and its prompts.
    pub(crate) fn new() -> Self {
        let still = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        still.write("recipe.toml", RECIPE);
        still.write("prompts.jsonl", PROMPTS);
        still
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("the folder can be written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Lines of a file, sorted: rows as a set.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let mut lines: Vec<String> = self.read(name).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// The command, in this folder, with a cache that the tests share and no network.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stillroom"));
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stillroom-cache");
        command.args(args).current_dir(self.folder.path()).env("STILLROOM_CACHE", cache);
        command.env("HF_HUB_OFFLINE", "1").env_remove("NO_COLOR").stdin(Stdio::null());
        command
    }

    /// Runs the command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        Done::from(self.command(args).output().expect("the binary starts"))
    }

    /// Runs the command, which must succeed.
    pub(crate) fn succeed(&self, args: &[&str]) -> Done {
        let done = self.run(args);
        assert_eq!(done.code, 0, "{args:?}: {}", done.stderr);
        done
    }

    /// Runs the command, which must end with `code` and say all of `words` on stderr.
    pub(crate) fn fail(&self, args: &[&str], code: i32, words: &[&str]) {
        let done = self.run(args);
        assert_eq!(done.code, code, "{args:?}: {}", done.stderr);
        for word in words {
            assert!(done.stderr.contains(word), "{args:?} does not say {word:?}:\n{}", done.stderr);
        }
    }

    /// Writes a tiny checkpoint into the folder `name`.
    pub(crate) fn write_model(&self, shape: &str, name: &str) {
        let shape = Shape::named(shape).expect("a tiny shape");
        tiny::write(&shape, 1, &self.path(name)).expect("the folder can be written");
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
