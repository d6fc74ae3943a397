//! Walk-through 2 on real models: tiny, seeded, meaning nothing, but with a tokenizer, a chat
//! template and an engine of their own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::Device;
use stillroom::llm::{Door, ModelFolder, Refusal, tiny};
use stillroom::pipeline::{Event, Facts, Opener, Opening, RunOptions, Summary, Watcher, run};
use stillroom::recipe::spec::ModelSpec;
use stillroom::text::guides::AnswerTemplate;
use stillroom::{Error, Result};
use stillroom_models::LoadOptions;

use crate::support::*;

/// Keys and values of one model: enough for a few long conversations.
const KV_BYTES: usize = 16 << 20;

/// Seeded checkpoints below a folder.
struct Tiny {
    cache: PathBuf,
    budget: u64,
}

impl Tiny {
    fn folder(&self, spec: &ModelSpec) -> Result<ModelFolder> {
        let shape = spec.source.strip_prefix("tiny:").expect("a tiny model");
        ModelFolder::read(&tiny(shape, &self.cache)?)
    }
}

impl Opener for Tiny {
    fn facts(&mut self, _name: &str, spec: &ModelSpec) -> Result<Facts> {
        let folder = self.folder(spec)?;
        let needs = folder.needs(&LoadOptions::new(Device::Cpu))?;
        Ok(Facts {
            name: spec.source.clone(),
            key: folder.key(None)?.as_str().to_owned(),
            weight_bytes: needs.weight_bytes,
            kv_bytes_min: KV_BYTES as u64,
            max_context: folder.config().max_context,
            notes: needs.notes,
        })
    }

    fn n_tokens_max(
        &mut self,
        _name: &str,
        spec: &ModelSpec,
        template: &AnswerTemplate,
    ) -> Result<std::result::Result<usize, Refusal>> {
        let counted = template.n_tokens_max(&self.folder(spec)?.voice().tokenizer);
        Ok(counted.map_err(|error| Refusal(error.to_string())))
    }

    fn budget(&self) -> u64 {
        self.budget
    }

    fn open(
        &mut self,
        name: &str,
        spec: &ModelSpec,
        _bytes: u64,
        _tell: &mut dyn FnMut(Opening<'_>),
    ) -> Result<Box<dyn Door>> {
        let options = LoadOptions::new(Device::Cpu);
        let (model, _) = self.folder(spec)?.load(name, &options, KV_BYTES, &mut |_| ())?;
        Ok(Box::new(model))
    }
}

/// Raises the interrupt after some rows of the answering steps.
struct StopAfter<'a> {
    n_rows: usize,
    interrupt: &'a AtomicBool,
}

impl Watcher for StopAfter<'_> {
    fn on(&mut self, event: &Event<'_>) {
        if let Event::Row { step, reused: false } = event
            && step.starts_with("answer")
        {
            self.n_rows = self.n_rows.saturating_sub(1);
            if self.n_rows == 0 {
                self.interrupt.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// Two topics, two instructions each, short answers, a judge without rationales.
fn text() -> String {
    MATH.replace(r#", { input = "Fields" }, { input = "Groups" }"#, "")
        .replace(
            "num_instructions = 3",
            "num_instructions = 2\ngeneration = { max_new_tokens = 24 }",
        )
        .replace("num_generations = 2", "num_generations = 2\ngeneration = { max_new_tokens = 12 }")
        .replace("orders = 2", "orders = 2\nrationale = \"none\"")
        .replace("[steps.answer_b]\n", "[steps.answer_b]\ngeneration = { max_new_tokens = 12 }\n")
}

fn run_tiny(
    cache: &tempfile::TempDir,
    out: PathBuf,
    budget: u64,
    n_rows: usize,
) -> Result<Summary> {
    let interrupt = AtomicBool::new(false);
    let options = RunOptions {
        out,
        limit: None,
        dry_run: false,
        layout: Default::default(),
        interrupt: &interrupt,
    };
    let mut models = Tiny { cache: cache.path().to_owned(), budget };
    let mut watcher = StopAfter { n_rows, interrupt: &interrupt };
    run(&recipe(&text()), &options, &mut models, &mut watcher)
}

#[test]
fn real_models_give_the_same_rows_in_one_go_in_turns_and_after_a_kill() {
    let cache = tempfile::tempdir().unwrap();
    let roomy = 1 << 30;
    let whole = tempfile::tempdir().unwrap();
    let summary = run_tiny(&cache, whole.path().to_owned(), roomy, usize::MAX).unwrap();
    let judged = step(whole.path(), "judge");
    assert!(!judged.is_empty(), "{summary:#?}");
    for row in &judged {
        assert_eq!(row["ratings"].as_array().unwrap().len(), 3);
        assert!(row["ratings"].as_array().unwrap().iter().all(|rating| rating.is_number()));
    }
    assert_eq!(summary.n_pairs as usize, step(whole.path(), "dpo").len());

    let killed = tempfile::tempdir().unwrap();
    let stopped = run_tiny(&cache, killed.path().to_owned(), roomy, 3);
    assert!(matches!(stopped, Err(Error::Interrupted { .. })), "{stopped:?}");
    run_tiny(&cache, killed.path().to_owned(), roomy, usize::MAX).unwrap();
    assert!(rows(killed.path()) == rows(whole.path()), "a kill changed a row");

    let turns = tempfile::tempdir().unwrap();
    let tight = KV_BYTES as u64 + (8 << 20);
    run_tiny(&cache, turns.path().to_owned(), tight, usize::MAX).unwrap();
    assert!(rows(turns.path()) == rows(whole.path()), "taking turns changed a row");
}
