//! A recipe written down again as TOML.
//!
//! What is written reads back to the same recipe, also after overrides and from Rust; comments and
//! the original's layout are lost. It must not know where the text goes.

use serde::{Serialize, Serializer};

use super::spec::{ModelSpec, Recipe, Step};

/// Keys before tables, as TOML wants them.
#[derive(Serialize)]
struct Document<'a> {
    name: &'a str,
    seed: u64,
    deterministic: bool,
    test_share: f64,
    flow: Vec<String>,
    models: Tables<'a, ModelSpec>,
    steps: Tables<'a, Step>,
}

/// Values by name, in their order. Not a `toml::Table`, in which an `f32` of 0.7 would become the
/// `f64` 0.699999988079071.
struct Tables<'a, T>(&'a [(String, T)]);

impl<T: Serialize> Serialize for Tables<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Recipe {
    /// The recipe as a file that reads back to it. Paths are as they are seen from the working
    /// folder, defaults are written out.
    pub fn to_toml(&self) -> String {
        let document = Document {
            name: &self.name,
            seed: self.seed,
            deterministic: self.deterministic,
            test_share: self.test_share,
            flow: self.flow(),
            models: Tables(&self.models),
            steps: Tables(&self.steps),
        };
        toml::to_string_pretty(&document).expect("a checked recipe holds nothing that TOML cannot")
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
}
