//! What the figures mean: sentences about what a person should look at before training on a run.
//!
//! A remark needs more than chance: the whole interval of its figure lies beyond the bound.

use super::judge::JudgeFigures;
use super::models::ModelFigures;
use super::pairs::{LeafFigures, PairFigures};
use super::places::{Orders, differs};
use super::ratings::Confidence;
use super::share::Share;
use super::{Figures, StepFigures};

/// Pairs whose chosen answer is the longer one, beyond which length is what they teach.
const LONGER_MAX: f64 = 0.6;

/// Rows that may flip with the order of presentation.
const FLIPS_MAX: f64 = 0.15;

/// What a place may add to a rating or take from it.
const PLACE_MAX: f64 = 0.1;

/// Answers that may be cut at their most tokens.
const CUT_MAX: f64 = 0.1;

/// Correlation of length and rating within prompts, either way.
const LENGTH_MAX: f64 = 0.3;

/// Pairs of one model that may be chosen, or rejected, before the model is what they teach.
const ONE_SIDED_MAX: f64 = 0.9;

/// Pairs that may have a margin below [`SMALL_MARGIN`].
const SMALL_MARGINS_MAX: f64 = 0.5;
const SMALL_MARGIN: f64 = 0.25;

/// Entropy, by the greatest possible one, above which a judge hardly decides.
const UNDECIDED: f64 = 0.8;

/// All remarks, the gravest first.
pub(super) fn remarks(figures: &Figures) -> Vec<String> {
    let mut remarks = Vec::new();
    remarks.extend(unfinished(figures));
    remarks.extend(figures.leaves.iter().filter_map(|leaf| no_rows(leaf, &figures.steps)));
    for leaf in &figures.leaves {
        let Some(pairs) = &leaf.pairs else { continue };
        let of = if figures.leaves.len() > 1 { format!("{}: ", leaf.step) } else { String::new() };
        remarks.extend(of_pairs(pairs).into_iter().map(|remark| format!("{of}{remark}")));
    }
    for judge in &figures.judges {
        let of = if figures.judges.len() > 1 { format!("{}: ", judge.step) } else { String::new() };
        remarks.extend(of_judge(judge).into_iter().map(|remark| format!("{of}{remark}")));
    }
    remarks.extend(figures.models.iter().filter_map(of_model));
    remarks
}

fn unfinished(figures: &Figures) -> Option<String> {
    let history = &figures.history;
    if history.is_finished {
        return history.limit.map(|limit| {
            format!("Only the first {limit} rows of each loader were asked for (--limit).")
        });
    }
    let how = match &history.stopped {
        Some(reason) => format!("It stopped: {reason}."),
        None => "It is still running, or was killed.".to_owned(),
    };
    Some(format!("The run is not finished, and the figures are those of the rows so far. {how}"))
}

fn no_rows(leaf: &LeafFigures, steps: &[StepFigures]) -> Option<String> {
    if leaf.n_rows > 0 {
        return None;
    }
    let of_step = |step: &StepFigures| {
        let reasons =
            step.dropped.iter().map(|(reason, n)| (step.step.clone(), reason.clone(), *n));
        reasons.collect::<Vec<_>>()
    };
    // Of equal losses the earliest is the cause: a join then misses what its branches lost.
    let losses: Vec<_> = steps.iter().flat_map(of_step).collect();
    let worst = losses.into_iter().rev().max_by_key(|(_, _, n)| *n);
    let why = worst.map_or(String::new(), |(step, reason, n)| {
        format!(" Most rows were lost at `{step}`: {reason} ({n}).")
    });
    Some(format!("No row has come out of `{}`.{why}", leaf.step))
}

fn of_pairs(pairs: &PairFigures) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(longer) = pairs.longer.filter(|longer| longer.low > LONGER_MAX) {
        remarks.push(format!(
            "The chosen answer is the longer one in {} of the pairs: they may teach length.",
            percent(&longer)
        ));
    }
    if let Some(longer) = pairs.longer.filter(|longer| longer.high < 1.0 - LONGER_MAX) {
        remarks.push(format!(
            "The chosen answer is the longer one in only {} of the pairs: they may teach brevity.",
            percent(&longer)
        ));
    }
    if let Some(small) = pairs.small_margins().filter(|small| small.low > SMALL_MARGINS_MAX) {
        remarks.push(format!(
            "The margin is below {SMALL_MARGIN} in {} of the pairs: the judge sees little between \
             their sides.",
            percent(&small)
        ));
    }
    for of in &pairs.models {
        let n = of.n_chosen + of.n_rejected;
        let Some(chosen) = Share::of(of.n_chosen, n) else { continue };
        if pairs.models.len() > 1 && chosen.low > ONE_SIDED_MAX {
            remarks.push(format!(
                "`{}` is chosen in {} of its pairs: they may teach whose answer it is, not what is \
                 good about it.",
                of.model,
                percent(&chosen)
            ));
        }
    }
    remarks
}

impl PairFigures {
    /// Pairs whose margin is small.
    fn small_margins(&self) -> Option<Share> {
        let reach = |bound: f64| {
            let point = self.margins_survival.iter().find(|p| p.at_least >= bound - 1e-9);
            point.map_or(0, |point| point.n)
        };
        let n = self.margins.as_ref()?.n;
        Share::of(n.saturating_sub(reach(SMALL_MARGIN)), n)
    }
}

fn of_judge(judge: &JudgeFigures) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(orders) = &judge.orders {
        remarks.extend(of_orders(orders));
    } else if judge.n_compared > 0 {
        remarks.push(
            "The judge saw the answers in one order, so nothing shows what their places do: \
             `orders = 2` would."
                .to_owned(),
        );
    }
    remarks.extend(judge.confidence.as_ref().and_then(|of| undecided(of, "The judge")));
    for of in &judge.aspects {
        let who = format!("On {} the judge", of.aspect);
        remarks.extend(of.confidence.as_ref().and_then(|of| undecided(of, &who)));
    }
    if let Some(length) = &judge.length.within_prompts
        && (length.low > LENGTH_MAX || length.high < -LENGTH_MAX)
    {
        let which = if length.r > 0.0 { "longer" } else { "shorter" };
        remarks.push(format!(
            "Of the answers to one prompt the {which} ones are rated higher (correlation {:.2}).",
            length.r
        ));
    }
    remarks
}

fn undecided(of: &Confidence, who: &str) -> Option<String> {
    let (mean, most) = (of.entropy.mean, of.entropy_max);
    (mean > UNDECIDED * most).then(|| {
        format!(
            "{who} hardly decides: its ratings' entropy is {mean:.2} nats on average, {most:.2} \
             would be blind chance."
        )
    })
}

fn of_orders(orders: &Orders) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(flips) = orders.flips.filter(|flips| flips.low > FLIPS_MAX) {
        remarks.push(format!(
            "In {} of the rows another order makes another answer the best; the ratings are means \
             over the orders.",
            percent(&flips)
        ));
    }
    for (place, mean) in orders.places.iter().enumerate() {
        let Some(mean) = mean.filter(|mean| differs(mean, PLACE_MAX)) else { continue };
        remarks.push(format!(
            "An answer is rated {:+.2} where it stands at place {}, compared with itself elsewhere.",
            mean.mean,
            place + 1
        ));
    }
    remarks
}

fn of_model(model: &ModelFigures) -> Option<String> {
    let cut = model.rows.cut().filter(|cut| cut.low > CUT_MAX)?;
    Some(format!(
        "{} of the answers of `{}` were cut at `max_new_tokens`.",
        percent(&cut),
        model.model
    ))
}

fn percent(share: &Share) -> String {
    format!("{:.0} %", 100.0 * share.share)
}
