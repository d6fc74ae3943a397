//! What is decided before a run starts: keys, memory, stages, sizes. `plan.json` holds it.
//!
//! Nothing is loaded for it. A judge whose longest answer cannot fit is refused here.

use serde::Serialize;
use stillroom_models::Quant;

use super::brought::{Brought, n_records};
use super::feed::{Fed, Feed};
use super::graph::Graph;
use super::judge::FormError;
use super::opener::{Facts, Opener};
use super::residency::{Need, Stage, stages};
use super::steps::Runner;
use super::{keys, kinship, sizes};
use crate::llm::{mib, way_out};
use crate::recipe::spec::{ModelSpec, Quantize, Recipe, Step};
use crate::text::guides::AnswerTemplate;
use crate::{Error, Result};

/// What was decided.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Name of the recipe.
    pub name: String,
    /// Seed of the run.
    pub seed: u64,
    /// Whether a row's bytes are free of its neighbours.
    pub deterministic: bool,
    /// Root rows, counted.
    pub n_roots: u64,
    /// The steps, in topological order.
    pub steps: Vec<PlannedStep>,
    /// The models, in the recipe's order.
    pub models: Vec<PlannedModel>,
    /// Bytes that resident models may take together.
    pub budget_bytes: u64,
    /// What is in memory when.
    pub stages: Vec<PlannedStage>,
    /// What the user should know of models and steps together.
    pub notes: Vec<String>,
    /// Data sets of the Hub, by the step that loads them.
    pub data_sets: Vec<PlannedDataSet>,
    #[serde(skip)]
    pub(super) graph: Graph,
    #[serde(skip)]
    pub(super) residency: Vec<Stage>,
}

/// A step, as planned.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedStep {
    /// Its name.
    pub name: String,
    /// Its type, as the recipe writes it.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What its rows are kept under.
    pub key: String,
    /// Steps that feed it.
    pub parents: Vec<String>,
    /// The model that it asks.
    pub model: Option<String>,
    /// Rows that it makes if none is dropped; unknown where the data decides.
    pub n_rows: Option<u64>,
}

/// A model, as planned.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedModel {
    /// Its name in the recipe.
    pub name: String,
    /// Where it comes from.
    #[serde(flatten)]
    pub spec: ModelSpec,
    /// What is known of it.
    #[serde(flatten)]
    pub facts: Facts,
}

/// A data set of the Hub, as it is now.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedDataSet {
    /// The step that loads it.
    pub step: String,
    /// What was brought.
    #[serde(flatten)]
    pub brought: Brought,
}

/// Models in memory at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedStage {
    /// Their names, in the order in which they are loaded.
    pub models: Vec<String>,
    /// Steps with a model that are done when the stage ends.
    pub steps: Vec<String>,
}

impl Plan {
    /// Decides everything; `limit` is the most root rows of each loader.
    ///
    /// # Errors
    /// When a model, a file or a rubric is not there, a model does not fit the memory, or a
    /// judge's answer cannot fit its tokens.
    pub fn build(recipe: &Recipe, limit: Option<usize>, opener: &mut dyn Opener) -> Result<Self> {
        let graph = Graph::build(recipe).map_err(|fault| Error::Usage {
            what: format!(
                "`{}` joins branches that were never one row",
                recipe.steps[fault.step].0
            ),
            hint: "let the branches start from one step".to_owned(),
        })?;
        let data_sets = bring(recipe, limit, opener)?;
        let mut models = Vec::with_capacity(recipe.models.len());
        for (name, spec) in &recipe.models {
            let facts = opener.facts(name, spec)?;
            models.push(PlannedModel { name: name.clone(), spec: spec.clone(), facts });
        }
        let budget_bytes = opener.budget();
        for model in &models {
            expect_fits(model, budget_bytes, opener)?;
        }
        for (name, kind) in &recipe.steps {
            expect_room(name, kind, recipe, &models)?;
        }
        check_judges(recipe, &graph, opener)?;
        let key_of = |name: &str| {
            let facts = &models[index_of(recipe, name)].facts;
            // Rows carry the name, so it is part of what they are.
            format!("{} {}", facts.key, facts.name)
        };
        let keys = keys::step_keys(recipe, &key_of)?;
        let bytes: Vec<u64> = models.iter().map(PlannedModel::bytes).collect();
        let mut notes = kinship::notes(recipe, &graph, &models);
        notes.extend(unanswered(recipe));
        let residency = stages(&needs(recipe, &graph), &bytes, budget_bytes);
        let n_roots_of = count_roots(recipe, &brought(recipe, &data_sets), limit)?;
        let n_rows = sizes::n_rows(recipe, &graph, &n_roots_of);
        let name_of = |step: &usize| recipe.steps[*step].0.clone();
        let steps = recipe.steps.iter().enumerate().map(|(step, (name, kind))| PlannedStep {
            name: name.clone(),
            kind: kind.type_name(),
            key: keys[step].clone(),
            parents: graph.parents[step].iter().map(name_of).collect(),
            model: kind.model().map(str::to_owned),
            n_rows: n_rows[step],
        });
        let stages = residency.iter().map(|stage| PlannedStage {
            models: stage.models.iter().map(|model| models[*model].name.clone()).collect(),
            steps: stage.steps.iter().map(name_of).collect(),
        });
        Ok(Self {
            name: recipe.name.clone(),
            seed: recipe.seed,
            deterministic: recipe.deterministic,
            n_roots: n_roots_of.iter().sum(),
            steps: steps.collect(),
            stages: stages.collect(),
            notes,
            data_sets,
            models,
            budget_bytes,
            graph,
            residency,
        })
    }

    /// What was brought from the Hub, by step of the recipe.
    pub(super) fn brought(&self, recipe: &Recipe) -> Vec<Option<Brought>> {
        brought(recipe, &self.data_sets)
    }

    /// Name and key of each step.
    pub(super) fn keys(&self) -> Vec<(String, String)> {
        self.steps.iter().map(|step| (step.name.clone(), step.key.clone())).collect()
    }
}

impl PlannedModel {
    /// Bytes without which it cannot be resident.
    pub fn bytes(&self) -> u64 {
        self.facts.weight_bytes + self.facts.kv_bytes_min
    }
}

/// Pair steps whose file of people's ratings is not there: before the first pull, or misspelt.
fn unanswered(recipe: &Recipe) -> impl Iterator<Item = String> {
    recipe.steps.iter().filter_map(|(name, kind)| {
        let Step::FormatTextGenerationDPO(spec) = kind else { return None };
        let path = spec.human_ratings.as_ref().filter(|path| !path.is_file())?;
        Some(format!("{name}: {} is not there: nobody has rated anything yet", path.display()))
    })
}

/// Index of a model; the recipe's checks have seen that it is there.
pub(super) fn index_of(recipe: &Recipe, model: &str) -> usize {
    let found = recipe.models.iter().position(|(name, _)| name == model);
    found.expect("a step's model is in the recipe")
}

fn expect_fits(model: &PlannedModel, budget: u64, opener: &mut dyn Opener) -> Result<()> {
    if model.bytes() <= budget {
        return Ok(());
    }
    let what = format!(
        "the model `{}` needs {} MiB ({} MiB of weights), {} MiB are there",
        model.name,
        mib(model.bytes()),
        mib(model.facts.weight_bytes),
        mib(budget)
    );
    let hint = way_out(budget, |quant| {
        // Under a name of its own: what is known of the model itself stays.
        let name = format!("{} as {}", model.name, quant.name());
        let quantize = match quant {
            Quant::Q8_0 => Quantize::Q8_0,
            Quant::Q4K => Quantize::Q4K,
        };
        let facts = opener.facts(&name, &ModelSpec { quantize, ..model.spec.clone() })?;
        Ok(facts.weight_bytes + facts.kv_bytes_min)
    })?;
    Err(Error::environment(what, hint))
}

/// An answer that may fill the whole context leaves no room for any prompt.
fn expect_room(name: &str, kind: &Step, recipe: &Recipe, models: &[PlannedModel]) -> Result<()> {
    let (Some(model), Some(generation)) = (kind.model(), kind.generation()) else { return Ok(()) };
    let model = &models[index_of(recipe, model)];
    let (n_new, n_context) = (generation.max_new_tokens, model.facts.max_context);
    // A judge's answer takes what its form needs, not what it is allowed.
    if n_new < n_context || matches!(kind, Step::UltraFeedback(_)) {
        return Ok(());
    }
    Err(Error::Usage {
        what: format!(
            "`{name}` asks for up to {n_new} new tokens, the whole context of `{}` is {n_context}",
            model.name
        ),
        hint: format!("set steps.{name}.generation.max_new_tokens well below {n_context}"),
    })
}

fn check_judges(recipe: &Recipe, graph: &Graph, opener: &mut dyn Opener) -> Result<()> {
    for (step, (name, kind)) in recipe.steps.iter().enumerate() {
        let Runner::Judge(judge) = Runner::build(kind)? else { continue };
        let Some(n_texts) = sizes::n_texts(recipe, graph, step) else { continue };
        let model = kind.model().expect("a judge asks a model");
        let spec = &recipe.models[index_of(recipe, model)].1;
        let failed = std::cell::RefCell::new(None);
        let opener = std::cell::RefCell::new(&mut *opener);
        let count = |template: &AnswerTemplate| {
            opener.borrow_mut().n_tokens_max(model, spec, template).unwrap_or_else(|error| {
                failed.borrow_mut().get_or_insert(error);
                Ok(usize::MAX / 2)
            })
        };
        let form = judge.check(n_texts, &count);
        if let Some(error) = failed.into_inner() {
            return Err(error);
        }
        form.map_err(|error| refused_form(name, n_texts, error))?;
    }
    Ok(())
}

fn refused_form(name: &str, n_texts: usize, error: FormError) -> Error {
    match error {
        FormError::TooLong { n_tokens_needed, n_tokens_max } => Error::Usage {
            what: format!(
                "the answer of `{name}` about {n_texts} texts needs {n_tokens_needed} tokens at its \
                 longest, `max_new_tokens` allows {n_tokens_max}"
            ),
            hint: format!(
                "set steps.{name}.generation.max_new_tokens to {n_tokens_needed} or more, or \
                 steps.{name}.rationale to \"none\""
            ),
        },
        FormError::Unwritable(why) => Error::Usage {
            what: format!("the model of `{name}` cannot write a judge's answer: {why}"),
            hint: "choose a judge with an ordinary vocabulary".to_owned(),
        },
    }
}

/// What each step with a model needs, and the steps with a model that come before it.
fn needs(recipe: &Recipe, graph: &Graph) -> Vec<Need> {
    let mut before: Vec<Vec<usize>> = Vec::new();
    let mut needs = Vec::new();
    for (step, (_, kind)) in recipe.steps.iter().enumerate() {
        let mut after: Vec<usize> = Vec::new();
        for parent in &graph.parents[step] {
            after.extend(&before[*parent]);
            if recipe.steps[*parent].1.model().is_some() {
                after.push(*parent);
            }
        }
        after.sort_unstable();
        after.dedup();
        if let Some(model) = kind.model() {
            needs.push(Need { step, model: index_of(recipe, model), after: after.clone() });
        }
        before.push(after);
    }
    needs
}

/// Root rows of each step; 0 for steps that load none.
/// Brings what steps load from the Hub.
fn bring(
    recipe: &Recipe,
    limit: Option<usize>,
    opener: &mut dyn Opener,
) -> Result<Vec<PlannedDataSet>> {
    let mut data_sets = Vec::new();
    for (name, step) in &recipe.steps {
        if let Step::LoadDataFromHub(spec) = step {
            let brought = opener.data_set(spec, n_records(spec, limit))?;
            data_sets.push(PlannedDataSet { step: name.clone(), brought });
        }
    }
    Ok(data_sets)
}

/// What was brought, by step.
fn brought(recipe: &Recipe, data_sets: &[PlannedDataSet]) -> Vec<Option<Brought>> {
    let of = |name: &String| data_sets.iter().find(|planned| planned.step == *name);
    recipe.steps.iter().map(|(name, _)| Some(of(name)?.brought.clone())).collect()
}

fn count_roots(
    recipe: &Recipe,
    brought: &[Option<Brought>],
    limit: Option<usize>,
) -> Result<Vec<u64>> {
    let mut n_roots = vec![0; recipe.steps.len()];
    let mut feed = Feed::new(&recipe.steps, brought, limit);
    while let Some(fed) = feed.next()? {
        if let Fed::Row { step, .. } = fed {
            n_roots[step] += 1;
        }
    }
    Ok(n_roots)
}
