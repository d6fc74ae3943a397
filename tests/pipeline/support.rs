//! Recipes and folders of the pipeline's tests.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use stillroom::Result;
use stillroom::data::read::{FileSource, Record, open};
use stillroom::pipeline::{RunOptions, Summary, run};
use stillroom::recipe::Recipe;
use stillroom::recipe::spec::Step;

use crate::instant::Instant;

/// Walk-through 1 with dicts in place of the Hub.
pub(crate) const LINEAR: &str = r#"
name = "linear"
seed = 7
flow = "load >> [answer_a, answer_b] >> group >> judge >> dpo"

[models.a]
source = "tiny:llama"
[models.b]
source = "tiny:mixtral"
[models.judge]
source = "tiny:llama"

[steps.load]
type = "LoadDataFromDicts"
data = [
  { instruction = "one" }, { instruction = "two" }, { instruction = "three" },
  { instruction = "one" }, { instruction = "four" }, { instruction = "five" },
]
[steps.answer_a]
type = "TextGeneration"
model = "a"
[steps.answer_b]
type = "TextGeneration"
model = "b"
[steps.group]
type = "GroupColumns"
columns = ["generation", "model_name"]
output_columns = ["generations", "model_names"]
[steps.judge]
type = "UltraFeedback"
model = "judge"
[steps.dpo]
type = "FormatTextGenerationDPO"
"#;

/// Walk-through 2: topics become instructions first.
pub(crate) const MATH: &str = r#"
name = "math"
seed = 7
flow = "topics >> instruct >> expand >> [answer_a, answer_b] >> group >> judge >> dpo"

[models.a]
source = "tiny:llama"
[models.b]
source = "tiny:mixtral"
[models.judge]
source = "tiny:llama"

[steps.topics]
type = "LoadDataFromDicts"
data = [{ input = "Sets" }, { input = "Rings" }, { input = "Fields" }, { input = "Groups" }]
[steps.instruct]
type = "SelfInstruct"
model = "a"
num_instructions = 3
[steps.expand]
type = "ExpandColumns"
columns = { instructions = "instruction" }
[steps.answer_a]
type = "TextGeneration"
model = "a"
num_generations = 2
[steps.answer_b]
type = "TextGeneration"
model = "b"
[steps.group]
type = "GroupColumns"
columns = ["generation", "model_name"]
output_columns = ["generations", "model_names"]
[steps.judge]
type = "UltraFeedback"
model = "judge"
orders = 2
[steps.dpo]
type = "FormatTextGenerationDPO"
"#;

/// Reads a recipe's text.
pub(crate) fn recipe(text: &str) -> Recipe {
    let inspect = |_: &Step| None;
    match Recipe::parse(text, "test.toml", Path::new(""), &[], &inspect) {
        Ok(recipe) => recipe,
        Err(faults) => panic!("{:#?}", faults.faults),
    }
}

/// Runs a recipe in a folder.
pub(crate) fn run_in(folder: &Path, text: &str, models: &Instant) -> Result<Summary> {
    let interrupt = models.interrupt();
    let options = RunOptions {
        out: folder.to_owned(),
        limit: None,
        dry_run: false,
        layout: Default::default(),
        interrupt: &interrupt,
    };
    run(&recipe(text), &options, &mut models.clone(), &mut ())
}

/// Runs a recipe to its end in a new folder.
pub(crate) fn run_new(text: &str) -> (tempfile::TempDir, Summary) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let summary = run_in(folder.path(), text, &Instant::default()).expect("the run ends well");
    (folder, summary)
}

/// The lines of every step's file and of the dropped rows, sorted: a run's rows as sets.
pub(crate) fn rows(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let mut files = BTreeMap::new();
    let steps = std::fs::read_dir(folder.join("steps")).expect("a folder of steps");
    let paths = steps.map(|entry| entry.expect("an entry").path());
    for path in paths.chain([folder.join("dropped.jsonl")]) {
        let text = std::fs::read_to_string(&path).expect("a text file");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        files.insert(name, lines);
    }
    files
}

/// The rows of one step, in the order of the file.
pub(crate) fn step(folder: &Path, step: &str) -> Vec<Value> {
    let path = folder.join(format!("steps/{step}.jsonl"));
    let text = std::fs::read_to_string(path).expect("a step's file");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// The rows of a split of the data set, as its Parquet file has them.
pub(crate) fn dataset_rows(folder: &Path, split: &str) -> Vec<Value> {
    let path = folder.join(format!("dataset/data/{split}-00000-of-00001.parquet"));
    let source = FileSource { path, ..Default::default() };
    let records = open(&source).expect("a Parquet file");
    let rows = records.map(|record| match record.expect("a record") {
        Record::Row(row) => Value::Object(row.columns),
        Record::Bad(bad) => panic!("{bad:?}"),
    });
    rows.collect()
}

/// Reasons and counts of a step's dropped rows.
pub(crate) fn dropped(summary: &Summary, step: &str) -> Vec<(String, u64)> {
    let reasons = summary.dropped.get(step).cloned().unwrap_or_default();
    reasons.into_iter().collect()
}
