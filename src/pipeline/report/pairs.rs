//! What the page says of a leaf: the charts of its pairs, and some of them.

use serde::Serialize;

use super::charts::{Histogram, Scatter, histogram, scatter, survival};
use super::samples::{self, SampleView};
use super::{Chart, Fact, words};
use crate::Result;
use crate::data::folder::RunFolder;
use crate::pipeline::stats::{Bin, Distribution, LeafFigures, ModelSides, PairFigures, Survival};

/// Dots of a scatter: more only blacken it.
const N_DOTS_MAX: usize = 600;

/// Samples over all leaves, and the least of one leaf.
const N_SAMPLES: usize = 20;
const N_SAMPLES_MIN: usize = 5;

/// A leaf on the page.
#[derive(Debug, Serialize)]
pub(super) struct LeafView {
    step: String,
    n_rows: String,
    has_pairs: bool,
    charts: Vec<Chart>,
    facts: Vec<Fact>,
    models: Vec<SidesView>,
    samples: Vec<SampleView>,
}

#[derive(Debug, Serialize)]
struct SidesView {
    model: String,
    n_chosen: String,
    n_rejected: String,
    /// Pairs of the model in which it was chosen, in percent.
    share: String,
    bar: String,
}

impl LeafView {
    /// Makes the part of a leaf; `n_leaves` of the page have pairs.
    pub(super) fn build(leaf: &LeafFigures, folder: &RunFolder, n_leaves: usize) -> Result<Self> {
        let mut view = Self {
            step: leaf.step.clone(),
            n_rows: words::count(leaf.n_rows),
            has_pairs: leaf.pairs.is_some(),
            charts: Vec::new(),
            facts: Vec::new(),
            models: Vec::new(),
            samples: Vec::new(),
        };
        let Some(pairs) = &leaf.pairs else { return Ok(view) };
        view.charts.extend(margins(pairs));
        view.charts.extend(left(pairs));
        view.charts.extend(lengths(pairs));
        view.facts = facts(pairs);
        view.models = pairs.models.iter().map(SidesView::build).collect();
        let n_samples = (N_SAMPLES / n_leaves.max(1)).max(N_SAMPLES_MIN);
        let chosen = samples::choose(&pairs.remembered, n_samples);
        view.samples = samples::read(&folder.step(&leaf.step), &chosen)?;
        Ok(view)
    }
}

fn margins(pairs: &PairFigures) -> Option<Chart> {
    let margins = pairs.margins.as_ref()?;
    let svg = histogram(&Histogram {
        values: margins,
        title: "Margins",
        what: "rating of chosen less rating of rejected",
        of: "pairs",
        ends: Some([0.0, 1.0]),
    });
    Some(Chart {
        title: "Margins".to_owned(),
        lead: "How much better the chosen answer is rated than the rejected one.".to_owned(),
        svg,
        head: vec!["margin", "pairs"],
        numbers: bins(&margins.bins),
    })
}

fn left(pairs: &PairFigures) -> Option<Chart> {
    let points = &pairs.margins_survival;
    (points.len() > 1).then(|| Chart {
        title: "Pairs left by a least margin".to_owned(),
        lead: "What a bound on the margin would leave to train on.".to_owned(),
        svg: survival(points, "Pairs left by a least margin", "pairs", "least margin"),
        head: vec!["least margin", "pairs left"],
        numbers: points.iter().map(survivor).collect(),
    })
}

fn lengths(pairs: &PairFigures) -> Option<Chart> {
    let (longer, chosen) = (pairs.longer?, pairs.chosen_length.as_ref()?);
    let rejected = pairs.rejected_length.as_ref()?;
    let dot = |[chosen, rejected]: [usize; 2]| [rejected as f64, chosen as f64];
    let dots: Vec<[f64; 2]> =
        pairs.remembered.iter().take(N_DOTS_MAX).map(|pair| dot(pair.lengths)).collect();
    let told = format!(
        "The chosen answer is the longer one in {} of the pairs ({}).",
        words::percent(longer.share),
        words::interval(&longer)
    );
    let row = |name: &str, of: fn(&Distribution) -> f64| {
        let cells = [of(chosen), of(rejected)].map(|value| words::number(value, 0));
        vec![name.to_owned(), cells[0].clone(), cells[1].clone()]
    };
    Some(Chart {
        title: "Lengths of both sides".to_owned(),
        lead: format!("{told} Above the line the chosen one is longer."),
        svg: scatter(&Scatter {
            title: "Lengths of both sides",
            told: &told,
            dots: &dots,
            names: ["characters of the rejected answer", "characters of the chosen answer"],
        }),
        head: vec!["characters", "chosen", "rejected"],
        numbers: vec![
            row("a twentieth below", |of| of.p05),
            row("a quarter below", |of| of.p25),
            row("median", |of| of.median),
            row("a quarter above", |of| of.p75),
            row("a twentieth above", |of| of.p95),
            row("mean", |of| of.mean),
        ],
    })
}

fn facts(pairs: &PairFigures) -> Vec<Fact> {
    let mut facts = vec![Fact::new("Pairs", words::count(pairs.n))];
    if let Some(margins) = &pairs.margins {
        let ends = [margins.min, margins.max].map(|end| words::number(end, 2));
        facts.push(Fact::new("Margin", format!("{} to {}", ends[0], ends[1])));
        facts.push(Fact::new("Mean margin", words::number(margins.mean, 2)));
    }
    if let (Some(chosen), Some(rejected)) = (&pairs.chosen_length, &pairs.rejected_length) {
        let medians = [chosen.median, rejected.median].map(|of| words::number(of, 0));
        let medians = format!("{} chosen, {} rejected", medians[0], medians[1]);
        facts.push(Fact::new("Median characters", medians));
    }
    let r = pairs.length_and_rating.as_ref();
    let r = r.map_or("too few or too equal to tell".to_owned(), words::correlation);
    facts.push(Fact::new("Correlation of length and rating", r));
    facts
}

impl SidesView {
    fn build(of: &ModelSides) -> Self {
        let share = of.n_chosen as f64 / (of.n_chosen + of.n_rejected).max(1) as f64;
        Self {
            model: words::label(&of.model, 120),
            n_chosen: words::count(of.n_chosen),
            n_rejected: words::count(of.n_rejected),
            share: words::percent(share),
            bar: format!("{:.1}", 100.0 * share),
        }
    }
}

/// The bars of a histogram as rows of a table.
pub(super) fn bins(bins: &[Bin]) -> Vec<Vec<String>> {
    let row = |bin: &Bin| {
        let [from, to] = [bin.from, bin.to].map(|edge| words::number(edge, 2));
        vec![format!("{from} to {to}"), words::count(bin.n)]
    };
    bins.iter().map(row).collect()
}

/// A point of a survival curve as a row of a table.
pub(super) fn survivor(point: &Survival) -> Vec<String> {
    vec![words::number(point.at_least, 2), words::count(point.n)]
}
