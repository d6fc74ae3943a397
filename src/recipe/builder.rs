//! Recipes in Rust, where `>>` reads as it does in a flow.
//!
//! ```
//! use stillroom::recipe::spec::*;
//! use stillroom::recipe::{Recipe, step};
//!
//! let topic = |text: &str| [("input".to_owned(), text.into())].into_iter().collect();
//! let topics = step("topics", LoadDataFromDicts::new(vec![topic("Determinants")]));
//! let instruct = step("instruct", SelfInstruct::new("llama"));
//! let expand = step("expand", ExpandColumns::new("instructions", "instruction"));
//! let a = step("a", TextGeneration::new("llama"));
//! let b = step("b", TextGeneration { num_generations: 2, ..TextGeneration::new("mixtral") });
//! let group = step("group", GroupColumns {
//!     output_columns: Some(vec!["generations".into(), "model_names".into()]),
//!     ..GroupColumns::new(["generation", "model_name"])
//! });
//! let judge = step("judge", UltraFeedback::new("llama"));
//! let dpo = step("dpo", FormatTextGenerationDpo {
//!     policy: PairPolicy::BestRandomLower,
//!     ..Default::default()
//! });
//! let keep = step("keep", KeepColumns::new(["instruction", "ratings"]));
//!
//! let recipe = Recipe::builder("math-preference")
//!     .seed(7)
//!     .model("llama", ModelSpec::new("tiny:llama"))
//!     .model("mixtral", ModelSpec::new("tiny:mixtral"))
//!     .flow(topics >> instruct >> expand >> [a, b] >> group >> judge >> [dpo, keep])
//!     .build()?;
//! assert_eq!(recipe.steps.len(), 9);
//! # Ok::<(), stillroom::recipe::Faults>(())
//! ```

use std::ops::Shr;
use std::path::Path;

use super::Faults;
use super::check::{Inspect, check};
use super::draft::{Draft, Drafted, Marks};
use super::graph::Graph;
use super::place::{Findings, Place};
use super::source::resolve_source;
use super::spec::{ModelSpec, Named, Recipe, Step};

/// Steps joined by `>>`; a single step is the shortest.
#[derive(Debug, Clone, Default)]
pub struct Flow {
    steps: Named<Step>,
    edges: Vec<(String, String)>,
    /// Steps that a flow before this one feeds.
    heads: Vec<String>,
    /// Steps that feed a flow after this one.
    tails: Vec<String>,
}

/// A step by its name, ready for `>>`.
pub fn step(name: impl Into<String>, step: impl Into<Step>) -> Flow {
    let name = name.into();
    Flow {
        steps: vec![(name.clone(), step.into())],
        edges: Vec::new(),
        heads: vec![name.clone()],
        tails: vec![name],
    }
}

impl Flow {
    /// Both flows, side by side. A step that is in both is one step.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.take_over(&other);
        self.heads.extend(other.heads);
        self.tails.extend(other.tails);
        self
    }

    /// Adds the steps and edges of `other`, but neither its heads nor its tails.
    fn take_over(&mut self, other: &Self) {
        for entry in &other.steps {
            if !self.steps.contains(entry) {
                self.steps.push(entry.clone());
            }
        }
        self.edges.extend(other.edges.iter().cloned());
    }
}

impl<const N: usize> From<[Flow; N]> for Flow {
    fn from(flows: [Flow; N]) -> Self {
        flows.into_iter().fold(Self::default(), Flow::and)
    }
}

impl From<Vec<Flow>> for Flow {
    fn from(flows: Vec<Flow>) -> Self {
        flows.into_iter().fold(Self::default(), Flow::and)
    }
}

impl<R: Into<Flow>> Shr<R> for Flow {
    type Output = Flow;

    /// Every tail of `self` feeds every head of `next`.
    fn shr(mut self, next: R) -> Flow {
        let next = next.into();
        self.take_over(&next);
        for tail in &self.tails {
            self.edges.extend(next.heads.iter().map(|head| (tail.clone(), head.clone())));
        }
        self.tails = next.tails;
        self
    }
}

impl<const N: usize> Shr<Flow> for [Flow; N] {
    type Output = Flow;

    fn shr(self, next: Flow) -> Flow {
        Flow::from(self) >> next
    }
}

/// A recipe being put together.
#[derive(Debug, Clone)]
pub struct Builder {
    name: String,
    seed: u64,
    deterministic: bool,
    test_share: f64,
    models: Named<ModelSpec>,
    flow: Flow,
}

impl Recipe {
    /// Begins a recipe.
    pub fn builder(name: impl Into<String>) -> Builder {
        Builder {
            name: name.into(),
            seed: 0,
            deterministic: true,
            test_share: 0.0,
            models: Vec::new(),
            flow: Flow::default(),
        }
    }
}

impl Builder {
    /// Seeds all randomness of the run; 0 otherwise.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Whether a row's logits must not depend on its neighbours; they must not otherwise.
    #[must_use]
    pub fn deterministic(mut self, deterministic: bool) -> Self {
        self.deterministic = deterministic;
        self
    }

    /// Puts the rows of this share of the prompts into a test split; of none otherwise.
    #[must_use]
    pub fn test_share(mut self, test_share: f64) -> Self {
        self.test_share = test_share;
        self
    }

    /// Adds a model. A folder is seen from the working folder.
    #[must_use]
    pub fn model(mut self, name: impl Into<String>, model: ModelSpec) -> Self {
        self.models.push((name.into(), model));
        self
    }

    /// Adds a flow to what is there.
    #[must_use]
    pub fn flow(mut self, flow: Flow) -> Self {
        self.flow = self.flow.and(flow);
        self
    }

    /// Checks everything, without looking into data files.
    ///
    /// # Errors
    /// All faults, just as for a file.
    pub fn build(self) -> Result<Recipe, Faults> {
        self.build_with(&|_| None)
    }

    /// Checks everything; `inspect` tells the columns of data files.
    ///
    /// # Errors
    /// All faults, just as for a file.
    pub fn build_with(self, inspect: Inspect<'_>) -> Result<Recipe, Faults> {
        let name = self.name.clone();
        let mut found = Findings::new(&[]);
        let draft = self.draft(&mut found);
        match check(draft, inspect, &mut found) {
            Some(recipe) if found.is_empty() => Ok(recipe),
            _ => Err(found.into_faults(&name, "")),
        }
    }

    fn draft(self, found: &mut Findings) -> Draft {
        let mut graph = Graph::default();
        for (name, _) in &self.flow.steps {
            graph.step(name, &Place::Nowhere);
        }
        for (from, to) in &self.flow.edges {
            let (from, to) = (graph.step(from, &Place::Nowhere), graph.step(to, &Place::Nowhere));
            graph.edge(from, to, &Place::Nowhere);
        }
        let resolve = |mut model: ModelSpec| {
            model.source = resolve_source(&model.source, Path::new(""));
            model
        };
        let models = self.models.into_iter().map(|(name, model)| (name, resolve(model))).collect();
        Draft {
            name: self.name,
            seed: self.seed,
            deterministic: self.deterministic,
            test_share: self.test_share,
            marks: Marks::nowhere(String::new()),
            models: drafted("models", models, found),
            steps: drafted("steps", self.flow.steps, found),
            graph,
        }
    }
}

fn drafted<T>(kind: &str, named: Named<T>, found: &mut Findings) -> Named<Drafted<T>> {
    let mut drafted: Named<Drafted<T>> = Vec::new();
    for (name, value) in named {
        if drafted.iter().any(|(other, _)| *other == name) {
            let message = format!("two {kind} are called `{name}`");
            found.add(&Place::Nowhere, message, Some("rename one of them".to_owned()));
        }
        let marks = Marks::nowhere(format!("{kind}.{name}"));
        drafted.push((name, Drafted { value: Some(value), marks }));
    }
    drafted
}
