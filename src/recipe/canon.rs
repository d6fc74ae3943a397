//! A recipe written down again: as TOML for people, as fingerprints for reuse.
//!
//! A step's fingerprint covers all that its rows depend on: its parameters, its model, the seed,
//! and the fingerprints of the steps before it. So a change reaches exactly the steps after it.
//! Contents of files are the caller's part; their paths are left out, so that a moved file is
//! still the same data.

use serde::Serialize;
use serde_json::{Value, json};

use super::source::Source;
use super::spec::{ModelSpec, Recipe, Step};

/// What a step's rows depend on, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Keys before tables, as TOML wants them.
#[derive(Serialize)]
struct Document<'a> {
    name: &'a str,
    seed: u64,
    deterministic: bool,
    flow: Vec<String>,
    models: toml::Table,
    steps: toml::Table,
}

impl Recipe {
    /// The recipe as a file that reads back to it. Paths are as they are seen from the working
    /// folder, defaults are written out.
    pub fn to_toml(&self) -> String {
        let table = |value: Result<toml::Value, toml::ser::Error>| {
            value.expect("a checked recipe holds nothing that TOML cannot")
        };
        let models = self.models.iter();
        let steps = self.steps.iter();
        let document = Document {
            name: &self.name,
            seed: self.seed,
            deterministic: self.deterministic,
            flow: self.flow(),
            models: models.map(|(n, m)| (n.clone(), table(toml::Value::try_from(m)))).collect(),
            steps: steps.map(|(n, s)| (n.clone(), table(toml::Value::try_from(s)))).collect(),
        };
        toml::to_string_pretty(&document).expect("a checked recipe is TOML")
    }

    /// The flow, one line for each step: its parents `>>` itself.
    fn flow(&self) -> Vec<String> {
        let line = |(step, parents): (usize, &Vec<usize>)| {
            let name = &self.steps[step].0;
            let names: Vec<&str> = parents.iter().map(|p| self.steps[*p].0.as_str()).collect();
            match names.as_slice() {
                [] => name.clone(),
                [parent] => format!("{parent} >> {name}"),
                _ => format!("[{}] >> {name}", names.join(", ")),
            }
        };
        self.parents.iter().enumerate().map(line).collect()
    }

    /// The fingerprint of every step, in the order of `steps`.
    ///
    /// `contents` gives, for a step, digests of the files that it depends on: a loader's data, a
    /// rubric, the weights of its model.
    pub fn fingerprints(&self, contents: impl Fn(usize, &Step) -> String) -> Vec<Fingerprint> {
        let mut fingerprints: Vec<Fingerprint> = Vec::new();
        for (idx, (name, step)) in self.steps.iter().enumerate() {
            let mut hasher = blake3::Hasher::new();
            let own = json!({
                "name": name,
                "step": without_paths(step),
                "model": step.model().and_then(|model| self.model(model)).map(identity),
                "seed": self.seed,
                "deterministic": self.deterministic,
            });
            for part in [own.to_string(), contents(idx, step)] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
            for parent in &self.parents[idx] {
                hasher.update(&fingerprints[*parent].0);
            }
            fingerprints.push(Fingerprint(*hasher.finalize().as_bytes()));
        }
        fingerprints
    }

    /// The model that steps call `name`.
    pub fn model(&self, name: &str) -> Option<&ModelSpec> {
        self.models.iter().find(|(known, _)| known == name).map(|(_, model)| model)
    }

    /// The index of the step called `name`.
    pub fn step_index(&self, name: &str) -> Option<usize> {
        self.steps.iter().position(|(known, _)| known == name)
    }
}

/// A step's parameters without the places of files and without the recipe's name of its model.
fn without_paths(step: &Step) -> Value {
    let mut value = serde_json::to_value(step).expect("a step is plain data");
    if let Value::Object(parameters) = &mut value {
        parameters.retain(|key, _| !["path", "rubric", "model"].contains(&key.as_str()));
    }
    value
}

/// A model without the place of its folder; its name, which the rows carry, is the last part.
fn identity(model: &ModelSpec) -> Value {
    let source = match model.origin() {
        Ok(Source::Folder(path)) => {
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        }
        _ => model.source.clone(),
    };
    json!({ "source": source, "revision": model.revision, "quantize": model.quantize })
}
