//! The page: what its template asks for, made of the figures.

use serde::Serialize;

use super::judge::JudgeView;
use super::pairs::LeafView;
use super::words;
use crate::Result;
use crate::data::folder::RunFolder;
use crate::pipeline::stats::{Figures, ModelFigures, Share, StepFigures};

/// All that the template shows.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    name: String,
    /// The line below the name.
    status: String,
    headline: Vec<Headline>,
    remarks: Vec<String>,
    leaves: Vec<LeafView>,
    judges: Vec<JudgeView>,
    steps: Vec<StepView>,
    drops: Vec<DropView>,
    models: Vec<ModelView>,
    version: &'static str,
}

/// One of the large figures.
#[derive(Debug, Serialize)]
struct Headline {
    value: String,
    label: String,
    note: String,
}

#[derive(Debug, Serialize)]
struct StepView {
    step: String,
    kind: String,
    model: String,
    n_rows: String,
    n_planned: String,
    n_dropped: String,
}

#[derive(Debug, Serialize)]
struct DropView {
    step: String,
    reason: String,
    n: String,
    /// Share of the largest, in percent: the length of its bar.
    bar: String,
}

#[derive(Debug, Serialize)]
struct ModelView {
    model: String,
    source: String,
    quantize: String,
    steps: String,
    n_answers: String,
    n_input: String,
    n_output: String,
    cut: String,
    hit_rate: String,
    speed: String,
    batch: String,
    busy: String,
    loading: String,
}

/// Where there is nothing to show.
const NOTHING: &str = "\u{2013}";

/// Characters of a name.
const N_NAME_MAX: usize = 120;

impl Page {
    /// Makes the page of a run.
    pub(super) fn build(figures: &Figures, folder: &RunFolder) -> Result<Self> {
        let n_leaves = figures.leaves.iter().filter(|leaf| leaf.pairs.is_some()).count();
        let mut leaves = Vec::new();
        for leaf in &figures.leaves {
            leaves.push(LeafView::build(leaf, folder, n_leaves)?);
        }
        Ok(Self {
            name: words::label(&figures.name, N_NAME_MAX),
            status: status(figures),
            headline: headline(figures),
            remarks: figures.remarks.iter().map(|remark| words::label(remark, 600)).collect(),
            leaves,
            judges: figures.judges.iter().map(JudgeView::build).collect(),
            steps: figures.steps.iter().map(StepView::build).collect(),
            drops: drops(&figures.steps),
            models: figures.models.iter().map(ModelView::build).collect(),
            version: env!("CARGO_PKG_VERSION"),
        })
    }
}

fn status(figures: &Figures) -> String {
    let history = &figures.history;
    let mut parts = Vec::new();
    parts.push(if history.is_finished { "finished" } else { "not finished" }.to_owned());
    let last = history.last_started.and_then(words::moment);
    parts.extend(last.map(|moment| format!("started {moment}")));
    if history.n_started > 1 {
        parts.push(format!("{} starts of the command", history.n_started));
    }
    parts.push(format!("{} prompts or topics", words::count(figures.n_roots)));
    parts.join(" \u{b7} ")
}

fn headline(figures: &Figures) -> Vec<Headline> {
    let judge = figures.judges.last();
    let pairs = figures.leaves.iter().find_map(|leaf| leaf.pairs.as_ref());
    let n_out: u64 = figures.leaves.iter().map(|leaf| leaf.n_rows).sum();
    let cell = |value: Option<String>, label: &str, note: String| Headline {
        value: value.unwrap_or_else(|| NOTHING.to_owned()),
        label: label.to_owned(),
        note,
    };
    let judged = judge
        .map_or(String::new(), |judge| format!("of {} judged rows", words::count(judge.n_rows)));
    let is_pairs = pairs.is_some() || n_out == 0;
    let margins = pairs.and_then(|pairs| pairs.margins.as_ref());
    let longer = pairs.and_then(|pairs| pairs.longer.as_ref());
    let flips = judge.and_then(|judge| judge.orders.as_ref()?.flips);
    let n_dropped: u64 = figures.steps.iter().map(StepFigures::n_dropped).sum();
    let busy: f64 = figures.models.iter().filter_map(|m| m.work?.busy_seconds).sum();
    let range = |share: &Share| format!("{} likely", words::interval(share));
    vec![
        cell(Some(words::count(n_out)), if is_pairs { "pairs" } else { "rows" }, judged),
        cell(
            margins.map(|margins| words::number(margins.median, 2)),
            "median margin",
            margins.map_or(String::new(), |of| {
                format!(
                    "half lie from {} to {}",
                    words::number(of.p25, 2),
                    words::number(of.p75, 2)
                )
            }),
        ),
        cell(
            longer.map(|longer| words::percent(longer.share)),
            "chosen is longer",
            longer.map_or(String::new(), range),
        ),
        cell(
            flips.map(|flips| words::percent(flips.share)),
            "flip with the order",
            flips.as_ref().map_or("judged in one order".to_owned(), range),
        ),
        cell(Some(words::count(n_dropped)), "rows dropped", "each with a reason, below".to_owned()),
        cell(
            Some(words::duration(figures.history.seconds)),
            "by the clock",
            if busy > 0.0 {
                format!("models computed {}", words::duration(busy))
            } else {
                String::new()
            },
        ),
    ]
}

impl StepFigures {
    fn n_dropped(&self) -> u64 {
        self.dropped.values().sum()
    }
}

impl StepView {
    fn build(of: &StepFigures) -> Self {
        let n_dropped = of.n_dropped();
        Self {
            step: of.step.clone(),
            kind: of.kind.clone(),
            model: of.model.clone().unwrap_or_default(),
            n_rows: words::count(of.n_rows),
            n_planned: of.n_planned.map_or(NOTHING.to_owned(), words::count),
            n_dropped: if n_dropped == 0 { NOTHING.to_owned() } else { words::count(n_dropped) },
        }
    }
}

/// The reasons of all steps, in the flow's order.
fn drops(steps: &[StepFigures]) -> Vec<DropView> {
    let most = steps.iter().flat_map(|step| step.dropped.values()).max().copied().unwrap_or(0);
    let of_step = |step: &StepFigures| -> Vec<DropView> {
        let mut reasons: Vec<(&String, &u64)> = step.dropped.iter().collect();
        reasons.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        let view = |(reason, n): (&String, &u64)| DropView {
            step: step.step.clone(),
            reason: words::label(reason, 200),
            n: words::count(*n),
            bar: format!("{:.1}", 100.0 * *n as f64 / most.max(1) as f64),
        };
        reasons.into_iter().map(view).collect()
    };
    steps.iter().flat_map(of_step).collect()
}

impl ModelView {
    fn build(of: &ModelFigures) -> Self {
        let nothing = || NOTHING.to_owned();
        let work = of.work.unwrap_or_default();
        Self {
            model: of.model.clone(),
            source: words::label(&of.source, N_NAME_MAX),
            quantize: if of.quantize == "none" { String::new() } else { of.quantize.clone() },
            steps: of.steps.join(", "),
            n_answers: words::count(of.rows.n_answers),
            n_input: words::count(of.rows.n_input),
            n_output: words::count(of.rows.n_output),
            cut: of.rows.cut().map_or_else(nothing, |cut| words::percent(cut.share)),
            hit_rate: work.hit_rate.map_or_else(nothing, words::percent),
            speed: work
                .tokens_per_second
                .map_or_else(nothing, |speed| words::count(speed.round() as u64)),
            batch: work.mean_batch.map_or_else(nothing, |batch| words::number(batch, 1)),
            busy: work.busy_seconds.map_or_else(nothing, words::duration),
            loading: work.load_seconds.map_or_else(nothing, words::duration),
        }
    }
}
