//! Run folders written by hand, so that their figures are known beforehand.

use std::path::Path;

use serde_json::{Value, json};

/// A folder of a run that loaded, was judged and made pairs, with nothing in it yet.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary folder"));
        std::fs::create_dir(folder.path().join("steps")).expect("a folder");
        let step = |name: &str, kind: &str, parents: Value, model: Value| json!({"name": name, "type": kind, "key": "k", "parents": parents, "model": model, "n_rows": 9});
        let model = json!({"name": "j", "source": "tiny:judge", "revision": "main",
            "quantize": "none", "model_name": "tiny:judge"});
        let plan = json!({
            "name": "by hand", "n_roots": 9, "models": [model],
            "steps": [
                step("load", "LoadDataFromDicts", json!([]), Value::Null),
                step("judge", "UltraFeedback", json!(["load"]), json!("j")),
                step("dpo", "FormatTextGenerationDPO", json!(["judge"]), Value::Null),
            ],
        });
        folder.write("plan.json", &plan.to_string());
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("the folder can be written");
    }

    /// Writes rows of a step, each with the bookkeeping of a row.
    pub(crate) fn rows(&self, step: &str, rows: Vec<Value>) {
        let line = |(i, mut row): (usize, Value)| {
            row["_row"] =
                json!({"id": format!("{i:032x}"), "parents": [], "ordinal": 0, "siblings": 1});
            format!("{row}\n")
        };
        let text: String = rows.into_iter().enumerate().map(line).collect();
        self.write(&format!("steps/{step}.jsonl"), &text);
    }

    /// Writes what happened.
    pub(crate) fn events(&self, events: &[Value]) {
        let text: String = events.iter().map(|event| format!("{event}\n")).collect();
        self.write("events.jsonl", &text);
    }
}

/// A row of pairs.
pub(crate) fn pair(prompt: &str, chosen: (&str, f64), rejected: (&str, f64)) -> Value {
    let turns = |answer: &str| json!([{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]);
    json!({
        "prompt": prompt, "margin": chosen.1 - rejected.1,
        "chosen": turns(chosen.0), "chosen_rating": chosen.1, "chosen_model": "a",
        "rejected": turns(rejected.0), "rejected_rating": rejected.1, "rejected_model": "b",
        "generations": [rejected.0, chosen.0], "ratings": [rejected.1, chosen.1],
        "rationales": ["the worse one", "the better one"],
    })
}
