//! A run from its plan to its data set.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde_json::json;

use super::doors::Doors;
use super::executor::{Executor, Leaf, Setting};
use super::feed::Feed;
use super::log::Log;
use super::opener::Opener;
use super::plan::{Plan, PlannedModel, index_of};
use super::report;
use super::split;
use super::steps::Runner;
use super::store::Store;
use super::tally::Tally;
use super::watch::{Event, Summary, Watcher};
use crate::Result;
use crate::data::dataset::{self, About, CardModel, IsTest, Layout, RowStream};
use crate::data::disk;
use crate::data::dropped::Counts;
use crate::data::folder::RunFolder;
use crate::data::row::Columns;
use crate::recipe::spec::{Quantize, Recipe};
use crate::text::chat::Message;

/// How a recipe is run.
#[derive(Debug, Clone)]
pub struct RunOptions<'a> {
    /// The run's folder.
    pub out: PathBuf,
    /// Most root rows of each loader; all when absent.
    pub limit: Option<usize>,
    /// One root row through everything, in a folder that is gone afterwards.
    pub dry_run: bool,
    /// How the data set lays out pairs.
    pub layout: Layout,
    /// Set from outside to stop after the rows that are finished.
    pub interrupt: &'a AtomicBool,
}

/// Runs a recipe, or goes on with it.
///
/// # Errors
/// When the recipe cannot be planned, a model cannot be loaded or fails, or the disk refuses.
/// Everything that was finished by then is on disk, and the same call goes on from there.
pub fn run(
    recipe: &Recipe,
    options: &RunOptions<'_>,
    opener: &mut dyn Opener,
    watcher: &mut dyn Watcher,
) -> Result<Summary> {
    if !options.dry_run {
        return Run::start(recipe, options, opener, watcher)?.finish();
    }
    let folder = DryRunFolder::create()?;
    let options = RunOptions { out: folder.0.clone(), limit: Some(1), ..options.clone() };
    Run::start(recipe, &options, opener, watcher)?.finish()
}

/// A folder that is removed when the dry run ends, however it ends.
struct DryRunFolder(PathBuf);

impl DryRunFolder {
    fn create() -> Result<Self> {
        let name = format!("stillroom-dry-run-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // What an earlier process of the same number left is no part of this run.
        let _ = std::fs::remove_dir_all(&path);
        disk::create_folder(&path)?;
        Ok(Self(path))
    }
}

impl Drop for DryRunFolder {
    fn drop(&mut self) {
        // Nothing in it is worth an error.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A run that has been planned and whose folder is open.
struct Run<'a> {
    recipe: &'a Recipe,
    options: &'a RunOptions<'a>,
    plan: Plan,
    runners: Vec<Runner>,
    store: Store,
    doors: Doors<'a>,
    tally: Tally<'a>,
    started: Instant,
}

impl<'a> Run<'a> {
    fn start(
        recipe: &'a Recipe,
        options: &'a RunOptions<'a>,
        opener: &'a mut dyn Opener,
        watcher: &'a mut dyn Watcher,
    ) -> Result<Self> {
        let started = Instant::now();
        let plan = Plan::build(recipe, options.limit, opener)?;
        // After the plan, whose keys hold the digests of rubrics and of people's ratings: a file
        // that changes in between costs a run too many, and never keeps rows of the older one.
        let runners: Vec<Runner> =
            recipe.steps.iter().map(|(_, step)| Runner::build(step)).collect::<Result<_>>()?;
        let folder = RunFolder::open(&options.out)?;
        disk::write_atomic(&folder.recipe(), recipe.to_toml().as_bytes())?;
        let mut log = Log::open(&folder.events())?;
        log.write(
            "started",
            json!({"limit": options.limit, "version": env!("CARGO_PKG_VERSION")}),
        )?;
        let written = serde_json::to_value(&plan).expect("a plan is plain data");
        let store = Store::open(folder, &plan.keys(), &written)?;
        let mut tally = Tally::new(recipe, watcher);
        tally.tell(&Event::Planned(&plan));
        for note in &plan.notes {
            tally.tell(&Event::Note { text: note });
        }
        for model in &plan.models {
            for note in &model.facts.notes {
                tally.tell(&Event::Note { text: &format!("{}: {note}", model.name) });
            }
        }
        let doors = Doors::new(recipe, opener, log, shared(recipe, &runners));
        Ok(Self { recipe, options, plan, runners, store, doors, tally, started })
    }

    fn finish(mut self) -> Result<Summary> {
        let ended = self.stages();
        if let Err(error) = &ended {
            // The error that ended the run is the one to tell.
            let _ = self.doors.log_uses();
            let log = self.doors.log();
            let _ = log.write("stopped", json!({"reason": error.to_string()}));
            let _ = log.sync();
        }
        let leaves = ended?;
        let summary = self.conclude(&leaves)?;
        self.doors.log().write("finished", json!(summary))?;
        self.doors.log().sync()?;
        if !self.options.dry_run {
            report::write(self.store.folder())?;
        }
        Ok(summary)
    }

    fn stages(&mut self) -> Result<Vec<Vec<Leaf>>> {
        let mut done: Vec<usize> = Vec::new();
        let mut leaves = Vec::new();
        let residency = self.plan.residency.clone();
        let n_stages = residency.len().max(1);
        let mut told = vec![false; self.recipe.steps.len()];
        for index in 0..n_stages {
            self.tally.tell(&Event::Stage { index, n_stages });
            if let Some(stage) = residency.get(index) {
                let next = residency.get(index + 1).map_or(&[][..], |stage| &stage.models);
                self.doors.change_stage([&stage.models, next], &self.plan, &mut self.tally)?;
                done.extend(&stage.steps);
            }
            if index > 0 {
                self.store.reindex()?;
            }
            let enabled = self.enabled(&done);
            self.tally.start_stage(std::mem::replace(&mut told, enabled.clone()));
            leaves = self.stage(enabled)?;
        }
        self.doors.change_stage([&[], &[]], &self.plan, &mut self.tally)?;
        Ok(leaves)
    }

    fn stage(&mut self, enabled: Vec<bool>) -> Result<Vec<Vec<Leaf>>> {
        let setting = Setting {
            recipe: self.recipe,
            graph: &self.plan.graph,
            runners: &self.runners,
            model_keys: self.plan.models.iter().map(|model| &*model.facts.key).collect(),
            enabled,
            interrupt: self.options.interrupt,
        };
        let brought = self.plan.brought(self.recipe);
        let feed = Feed::new(&self.recipe.steps, &brought, self.options.limit);
        let Self { doors, store, tally, .. } = self;
        Executor::new(&setting, doors, store, tally).run(feed)
    }

    /// Steps that can run when the steps with a model in `done` can.
    fn enabled(&self, done: &[usize]) -> Vec<bool> {
        let mut enabled: Vec<bool> = Vec::with_capacity(self.recipe.steps.len());
        for (step, (_, kind)) in self.recipe.steps.iter().enumerate() {
            let own = kind.model().is_none() || done.contains(&step);
            let above = self.plan.graph.parents[step].iter().all(|parent| enabled[*parent]);
            enabled.push(own && above);
        }
        enabled
    }

    fn conclude(&mut self, leaves: &[Vec<Leaf>]) -> Result<Summary> {
        let mut summary = self.tally.summary();
        summary.n_pairs = leaves.iter().map(|rows| rows.len() as u64).sum();
        self.tally.tell(&Event::WritingDataset);
        self.write_dataset(leaves, &summary)?;
        if self.options.limit.is_none() {
            self.store.set_aside_unmet()?;
        }
        summary.folder = self.store.folder().root().to_owned();
        summary.seconds = self.started.elapsed().as_secs_f64();
        Ok(summary)
    }

    /// Writes the rows of all leaves, in the data's order, as a folder for the Hub.
    fn write_dataset(&mut self, leaves: &[Vec<Leaf>], summary: &Summary) -> Result<()> {
        let folder = self.store.folder().dataset();
        let store = RefCell::new(&mut self.store);
        let rows_of = |step: usize| {
            let store = &store;
            move || -> Result<RowStream<'_>> {
                let read = move |leaf: &Leaf| {
                    let entry = store.borrow_mut().read(step, leaf.offset)?;
                    Ok(entry.row.columns)
                };
                Ok(Box::new(leaves[step].iter().map(read)))
            }
        };
        let steps: Vec<usize> = self.plan.graph.leaves().collect();
        let rows: Vec<_> = steps.iter().map(|step| rows_of(*step)).collect();
        let name = |step: &usize| self.recipe.steps[*step].0.clone();
        let written: Vec<dataset::Leaf<'_>> = steps
            .iter()
            .zip(&rows)
            .map(|(step, rows)| dataset::Leaf { name: name(step), rows })
            .collect();
        let about = about(self.recipe, &self.plan, summary);
        let share = self.recipe.test_share;
        let is_test = move |row: &Columns| split::is_test(row, share);
        let is_test: Option<IsTest<'_>> = if share > 0.0 { Some(&is_test) } else { None };
        dataset::write(&folder, &written, self.options.layout, &about, is_test).map(|_| ())
    }
}

/// What prompts of the asking steps begin with, and the index of the model that is asked.
fn shared(recipe: &Recipe, runners: &[Runner]) -> Vec<(usize, Vec<Message>)> {
    let asking = runners.iter().filter_map(Runner::asking);
    let shared = asking.flat_map(|step| {
        let model = index_of(recipe, step.model());
        step.shared().into_iter().map(move |messages| (model, messages))
    });
    shared.collect()
}

/// What the data set's card tells.
fn about(recipe: &Recipe, plan: &Plan, summary: &Summary) -> About {
    let model = |model: &PlannedModel| CardModel {
        name: model.name.clone(),
        source: model.spec.source.clone(),
        revision: Some(model.spec.revision.clone()).filter(|_| model.spec.source.contains('/')),
        quantize: quantize_name(model.spec.quantize).to_owned(),
        digest: model.facts.key.clone(),
    };
    let mut dropped = Counts::new();
    for (step, reasons) in &summary.dropped {
        for (reason, n) in reasons {
            dropped.insert((step.clone(), reason.clone()), *n);
        }
    }
    About {
        name: recipe.name.clone(),
        recipe: recipe.to_toml(),
        models: plan.models.iter().map(model).collect(),
        dropped,
        license: None,
        languages: Vec::new(),
    }
}

fn quantize_name(quantize: Quantize) -> &'static str {
    match quantize {
        Quantize::None => "as stored",
        Quantize::Q8_0 => "q8_0",
        Quantize::Q4K => "q4_k",
    }
}
