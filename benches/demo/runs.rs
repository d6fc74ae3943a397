//! Runs of the pipeline in a folder of their own, and the rows that they leave.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde_json::Value;
use stillroom::data::journal;
use stillroom::data::row::Columns;
use stillroom::pipeline::{LocalModels, RunOptions, run};
use stillroom::recipe::spec::{ModelSpec, Step};
use stillroom::recipe::{Flow, Recipe};

/// The recipe that the family is made for.
pub(crate) const RECIPE: &str = "examples/math-preference.toml";

/// The models that are measured: the program's, or those of a folder.
pub(crate) struct Family(pub(crate) Option<String>);

impl Family {
    /// Where a member comes from.
    pub(crate) fn source(&self, member: &str) -> String {
        match &self.0 {
            Some(folder) => format!("{folder}/{member}"),
            None => format!("demo:{member}"),
        }
    }
}

/// A finished run.
pub(crate) struct Job {
    folder: tempfile::TempDir,
    /// From the first question to the data set, models' loading included.
    pub(crate) seconds: f64,
}

impl Job {
    /// Runs the recipe of the repository.
    pub(crate) fn of_file(overrides: &[String]) -> Self {
        Self::of(&recipe(overrides))
    }

    /// Runs a flow with these models.
    pub(crate) fn of_flow(models: &[(&str, String)], flow: Flow) -> Self {
        let mut builder = Recipe::builder("measure").seed(7);
        for (name, source) in models {
            builder = builder.model(*name, ModelSpec::new(source.clone()));
        }
        Self::of(
            &builder.flow(flow).build().unwrap_or_else(|faults| panic!("{:#?}", faults.faults)),
        )
    }

    fn of(recipe: &Recipe) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let interrupt = AtomicBool::new(false);
        let options = RunOptions {
            out: folder.path().join("run"),
            limit: None,
            dry_run: false,
            layout: Default::default(),
            interrupt: &interrupt,
        };
        let started = Instant::now();
        let mut models = LocalModels::new("cpu", folder.path()).expect("a CPU");
        run(recipe, &options, &mut models, &mut ()).expect("the run ends well");
        Self { folder, seconds: started.elapsed().as_secs_f64() }
    }

    /// The rows of a step.
    pub(crate) fn rows(&self, step: &str) -> Vec<Columns> {
        let path = self.folder.path().join("run/steps").join(format!("{step}.jsonl"));
        let rows = journal::read(&path).expect("the journal can be read");
        rows.map(|row| row.expect("a row").1.row.columns).collect()
    }
}

/// A step of the repository's recipe.
pub(crate) fn step_of_recipe(name: &str) -> Step {
    let recipe = recipe(&[]);
    let found = recipe.steps.iter().find(|(known, _)| known == name);
    found.map(|(_, step)| step.clone()).expect("the recipe has the step")
}

/// Columns of a row.
pub(crate) fn columns(pairs: &[(&str, Value)]) -> Columns {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// The text of a column.
pub(crate) fn text(row: &Columns, column: &str) -> String {
    row.get(column).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn recipe(overrides: &[String]) -> Recipe {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(RECIPE);
    Recipe::load(&path, overrides).unwrap_or_else(|error| panic!("{error}"))
}
