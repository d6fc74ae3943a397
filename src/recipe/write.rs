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
struct Tables<'a, T>(Vec<(&'a str, &'a T)>);

impl<'a, T> Tables<'a, T> {
    fn of(named: &'a [(String, T)]) -> Self {
        Self(named.iter().map(|(name, value)| (name.as_str(), value)).collect())
    }
}

impl<T: Serialize> Serialize for Tables<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl Recipe {
    /// The recipe as a file that reads back to it. Paths are as they are seen from the working
    /// folder, defaults are written out.
    pub fn to_toml(&self) -> String {
        let push = self.push.as_ref().map(|push| (&push.name, Step::PushToHub(push.spec.clone())));
        let mut steps = Tables::of(&self.steps);
        steps.0.extend(push.iter().map(|(name, step)| (name.as_str(), step)));
        let document = Document {
            name: &self.name,
            seed: self.seed,
            deterministic: self.deterministic,
            test_share: self.test_share,
            flow: self.flow(),
            models: Tables::of(&self.models),
            steps,
        };
        toml::to_string_pretty(&document).expect("a checked recipe holds nothing that TOML cannot")
    }

    /// The flow, one line for each step: its parents `>>` itself.
    fn flow(&self) -> Vec<String> {
        let line = |(name, parents): (&String, &Vec<usize>)| {
            let names: Vec<&str> = parents.iter().map(|p| self.steps[*p].0.as_str()).collect();
            match names.as_slice() {
                [] => name.clone(),
                [parent] => format!("{parent} >> {name}"),
                _ => format!("[{}] >> {name}", names.join(", ")),
            }
        };
        let steps = self.steps.iter().map(|(name, _)| name).zip(&self.parents);
        steps.chain(self.push.iter().map(|push| (&push.name, &push.parents))).map(line).collect()
    }
}
