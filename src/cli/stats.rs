//! `stillroom stats` and `stillroom report`: a run's figures in lines, and on a page.

use super::args::{ReportArgs, StatsArgs};
use super::screen::Screen;
use crate::Result;
use crate::data::folder::RunFolder;
use crate::pipeline::report;
use crate::pipeline::stats::{
    AspectFigures, Confidence, Correlation, Distribution, Figures, JudgeFigures, LeafFigures,
    ModelFigures, PairFigures, Share, Survival,
};

/// Prints the figures of a run.
pub(super) fn stats(args: &StatsArgs, screen: &Screen) -> Result<()> {
    let figures = Figures::read(&RunFolder::look(&args.run)?)?;
    screen.answer(args.json, &figures, || shown(&figures));
    Ok(())
}

/// Writes the report of a run.
pub(super) fn report(args: &ReportArgs, screen: &Screen) -> Result<()> {
    let path = report::write(&RunFolder::look(&args.run)?)?;
    screen.print(&format!("report: {}", path.display()));
    Ok(())
}

fn shown(figures: &Figures) -> String {
    let history = &figures.history;
    let state = if history.is_finished { "finished" } else { "not finished" };
    let mut lines = vec![format!(
        "{}: {state}, {} prompts or topics, {:.1} s by the clock",
        figures.name, figures.n_roots, history.seconds
    )];
    rows(figures, &mut lines);
    for leaf in &figures.leaves {
        of_leaf(leaf, &mut lines);
    }
    for judge in &figures.judges {
        of_judge(judge, &mut lines);
    }
    if !figures.models.is_empty() {
        lines.push("\nmodels".to_owned());
        lines.extend(figures.models.iter().map(of_model));
    }
    if !figures.remarks.is_empty() {
        lines.push("\nbefore you train on it".to_owned());
        lines.extend(figures.remarks.iter().map(|remark| format!("  - {remark}")));
    }
    lines.join("\n")
}

fn rows(figures: &Figures, lines: &mut Vec<String>) {
    lines.push("\nrows".to_owned());
    let width = figures.steps.iter().map(|step| step.step.len()).max().unwrap_or(0);
    for step in &figures.steps {
        let planned = step.n_planned.filter(|planned| *planned != step.n_rows);
        let planned = planned.map_or(String::new(), |planned| format!(" of {planned}"));
        lines.push(format!("  {:width$} {:>8}{planned}  {}", step.step, step.n_rows, step.kind));
        for (reason, n) in &step.dropped {
            lines.push(format!("  {:width$} {n:>8} dropped: {reason}", ""));
        }
    }
}

fn of_leaf(leaf: &LeafFigures, lines: &mut Vec<String>) {
    let Some(pairs) = &leaf.pairs else {
        lines.push(format!("\n{}: {} rows, no pairs among them", leaf.step, leaf.n_rows));
        return;
    };
    let PairFigures { margins, chosen_length, rejected_length, .. } = pairs;
    lines.push(format!("\npairs ({}): {}", leaf.step, pairs.n));
    lines.push(format!("  margin           {}", spread(margins.as_ref(), 2)));
    if !pairs.margins_survival.is_empty() {
        lines.push(format!("  left by a least margin   {}", curve(&pairs.margins_survival)));
    }
    lines.push(format!("  chosen length    {}", spread(chosen_length.as_ref(), 0)));
    lines.push(format!("  rejected length  {}", spread(rejected_length.as_ref(), 0)));
    lines.push(format!("  chosen is longer {}", share(pairs.longer.as_ref())));
    let r = correlation(pairs.length_and_rating.as_ref());
    lines.push(format!("  length and rating, both sides: {r}"));
    for model in &pairs.models {
        lines.push(format!(
            "  {}: {} chosen, {} rejected",
            model.model, model.n_chosen, model.n_rejected
        ));
    }
}

fn of_judge(judge: &JudgeFigures, lines: &mut Vec<String>) {
    let by = judge.judge.as_deref().unwrap_or_default();
    lines.push(format!("\njudge {} ({by}): {} rows", judge.step, judge.n_rows));
    lines.push(format!("  ratings          {}", spread(judge.ratings.as_ref(), 2)));
    if judge.n_unrated > 0 {
        lines.push(format!("  rated N/A        {}", judge.n_unrated));
    }
    lines.push(format!("  best less worst  {}", spread(judge.gaps.as_ref(), 2)));
    lines.push(format!("  all equal        {}", share(judge.ties.as_ref())));
    for model in &judge.models {
        let ratings = spread(model.ratings.as_ref(), 2);
        lines.push(format!("  {}: {} answers, rated {ratings}", model.model, model.n_answers));
    }
    for duel in judge.duels.iter().filter(|duel| duel.model < duel.other) {
        lines.push(format!(
            "  {} beats {}: {}; {} won, {} even, {} lost",
            duel.model,
            duel.other,
            share(Some(&duel.wins)),
            duel.n_wins,
            duel.n_ties,
            duel.n_losses
        ));
    }
    match &judge.orders {
        None => lines.push("  one order of presentation: flips cannot be seen".to_owned()),
        Some(orders) => {
            lines.push(format!(
                "  flips            {}; first place always won {}, last place {}",
                share(orders.flips.as_ref()),
                orders.n_first_wins,
                orders.n_last_wins
            ));
            for (place, mean) in orders.places.iter().enumerate() {
                let Some(mean) = mean else { continue };
                lines.push(format!(
                    "  place {}          {:+.3} ({:+.3} to {:+.3})",
                    place + 1,
                    mean.mean,
                    mean.low,
                    mean.high
                ));
            }
        }
    }
    if let Some(confidence) = &judge.confidence {
        lines.push(format!(
            "  entropy          {} of at most {:.2} nats",
            spread(Some(&confidence.entropy), 2),
            confidence.entropy_max
        ));
        lines.push(format!("  below one half   {}", share(confidence.unsure.as_ref())));
    }
    judge.aspects.iter().for_each(|aspect| of_aspect(aspect, lines));
    let [overall, within] =
        [&judge.length.overall, &judge.length.within_prompts].map(|r| correlation(r.as_ref()));
    lines.push(format!("  length and rating: {overall}; within a prompt: {within}"));
}

fn of_aspect(of: &AspectFigures, lines: &mut Vec<String>) {
    lines.push(format!("  on {}: rated {}", of.aspect, spread(of.ratings.as_ref(), 2)));
    let mut parts = Vec::new();
    if let Some(unrated) = of.unrated.as_ref().filter(|unrated| unrated.n > 0.0) {
        parts.push(format!("N/A {}", share(Some(unrated))));
    }
    if let Some(Confidence { entropy, entropy_max, unsure, .. }) = &of.confidence {
        parts.push(format!("entropy {:.2} of at most {entropy_max:.2} nats", entropy.mean));
        parts.push(format!("below one half {}", share(unsure.as_ref())));
    }
    if let Some(orders) = &of.orders {
        parts.push(format!("flips {}", share(orders.flips.as_ref())));
    }
    if !parts.is_empty() {
        lines.push(format!("    {}", parts.join("; ")));
    }
}

fn of_model(model: &ModelFigures) -> String {
    let rows = &model.rows;
    let mut line = format!(
        "  {}: {} answers, {} tokens in, {} out",
        model.model, rows.n_answers, rows.n_input, rows.n_output
    );
    let cut = rows.cut().filter(|cut| cut.n > 0.0);
    line.extend(cut.map(|cut| format!(", {:.0} % cut short", 100.0 * cut.share)));
    let Some(work) = &model.work else { return line };
    line.extend(work.hit_rate.map(|rate| format!("; {:.0} % prefix hits", 100.0 * rate)));
    line.extend(work.tokens_per_second.map(|speed| format!("; {speed:.0} tokens/s")));
    line.extend(work.mean_batch.map(|batch| format!(" at batch {batch:.1}")));
    line
}

/// Middle and reach of values, in so many decimals.
fn spread(of: Option<&Distribution>, n: usize) -> String {
    of.map_or("none".to_owned(), |of| {
        format!(
            "median {:.n$}, mean {:.n$}, from {:.n$} to {:.n$}, half in {:.n$} to {:.n$}",
            of.median, of.mean, of.min, of.max, of.p25, of.p75
        )
    })
}

fn share(of: Option<&Share>) -> String {
    of.map_or("none to count".to_owned(), |of| {
        let [share, low, high] = [of.share, of.low, of.high].map(|share| 100.0 * share);
        format!("{share:.0} % of {} ({low:.0} to {high:.0} %)", of.of)
    })
}

fn correlation(of: Option<&Correlation>) -> String {
    of.map_or("too few or too equal to tell".to_owned(), |of| {
        format!("{:+.2} ({:+.2} to {:+.2})", of.r, of.low, of.high)
    })
}

/// About eight points of a survival curve.
fn curve(points: &[Survival]) -> String {
    let every = points.len().div_ceil(8).max(1);
    let told = points.iter().step_by(every);
    let told: Vec<String> =
        told.map(|point| format!("{:.2}: {}", point.at_least, point.n)).collect();
    told.join("  ")
}
