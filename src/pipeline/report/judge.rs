//! What the page says of a judge: its ratings, who beats whom, its doubts, and what places do.

use serde::Serialize;

use super::charts::{Column, Histogram, Range, Ranges, columns, histogram, ranges, survival};
use super::pairs::{bins, survivor};
use super::{Chart, Fact, words};
use crate::pipeline::stats::{
    AspectFigures, Confidence, Distribution, Duel, JudgeFigures, ModelRatings, Orders, Share,
};

/// Lines of a chart of ranges.
const N_RANGES_MAX: usize = 8;

/// A judge on the page.
#[derive(Debug, Serialize)]
pub(super) struct JudgeView {
    step: String,
    judge: String,
    n_rows: String,
    charts: Vec<Chart>,
    facts: Vec<Fact>,
    matrix: Option<Matrix>,
    models: Vec<ModelView>,
    aspects: Vec<AspectView>,
}

/// Which model beats which.
#[derive(Debug, Serialize)]
struct Matrix {
    models: Vec<String>,
    rows: Vec<MatrixRow>,
}

#[derive(Debug, Serialize)]
struct MatrixRow {
    model: String,
    cells: Vec<Option<Cell>>,
    overall: Option<Cell>,
}

#[derive(Debug, Serialize)]
struct Cell {
    share: String,
    interval: String,
    counts: String,
    /// `a` for more than half, `b` for less.
    side: &'static str,
    /// Distance from one half, in percent of the greatest.
    strength: String,
}

#[derive(Debug, Serialize)]
struct ModelView {
    model: String,
    n_answers: String,
    mean: String,
    median: String,
    length: String,
    wins: String,
}

#[derive(Debug, Serialize)]
struct AspectView {
    aspect: String,
    n_rated: String,
    mean: String,
    median: String,
    unrated: String,
    entropy: String,
    unsure: String,
    flips: String,
}

impl JudgeView {
    /// Makes the part of a judge.
    pub(super) fn build(of: &JudgeFigures) -> Self {
        let mut charts = Vec::new();
        charts.extend(ratings(of));
        charts.extend(by_model(&of.models));
        charts.extend(by_aspect(&of.aspects));
        charts.extend(of.orders.as_ref().and_then(places));
        charts.extend(gaps(of));
        charts.extend(of.confidence.as_ref().map(doubt));
        charts.extend(choices(of));
        Self {
            step: of.step.clone(),
            judge: of.judge.clone().unwrap_or_default(),
            n_rows: words::count(of.n_rows),
            charts,
            facts: facts(of),
            matrix: matrix(of),
            models: of.models.iter().map(ModelView::build).collect(),
            aspects: of.aspects.iter().map(AspectView::build).collect(),
        }
    }
}

fn ratings(of: &JudgeFigures) -> Option<Chart> {
    let ratings = of.ratings.as_ref()?;
    Some(Chart {
        title: "Ratings".to_owned(),
        lead: "All answers, by the rating that counts.".to_owned(),
        svg: histogram(&Histogram {
            values: ratings,
            title: "Ratings",
            what: "rating",
            of: "answers",
            ends: Some([1.0, 5.0]),
        }),
        head: vec!["rating", "answers"],
        numbers: bins(&ratings.bins),
    })
}

fn by_model(models: &[ModelRatings]) -> Option<Chart> {
    let rows = models.iter().map(|of| (&*of.model, of.ratings.as_ref()));
    let lead = "The thick line holds half of a model's answers, the thin one nine tenths.";
    spreads("Ratings by model", lead, rows)
}

fn by_aspect(aspects: &[AspectFigures]) -> Option<Chart> {
    let rows = aspects.iter().map(|of| (&*of.aspect, of.ratings.as_ref()));
    let lead = "Each aspect alone; what counts is their mean. The thick line holds half of the \
                answers, the thin one nine tenths.";
    spreads("Ratings by aspect", lead, rows)
}

fn spreads<'a>(
    title: &str,
    lead: &str,
    rows: impl Iterator<Item = (&'a str, Option<&'a Distribution>)>,
) -> Option<Chart> {
    let range = |(name, ratings): (&str, Option<&Distribution>)| {
        let ratings = ratings?;
        Some(Range {
            name: name.to_owned(),
            told: format!("median {}", words::number(ratings.median, 2)),
            middle: ratings.median,
            wide: [ratings.p05, ratings.p95],
            narrow: [ratings.p25, ratings.p75],
        })
    };
    let rows: Vec<Range> = rows.take(N_RANGES_MAX).filter_map(range).collect();
    (!rows.is_empty()).then(|| Chart {
        title: title.to_owned(),
        lead: lead.to_owned(),
        svg: ranges(&Ranges { title, what: "rating", rows: &rows, ends: [1.0, 5.0], mark: None }),
        ..Chart::default()
    })
}

fn places(of: &Orders) -> Option<Chart> {
    let range = |(place, mean): (usize, &Option<_>)| {
        let mean: &crate::pipeline::stats::Mean = mean.as_ref()?;
        Some(Range {
            name: format!("shown at place {}", place + 1),
            told: words::signed(mean.mean, 2),
            middle: mean.mean,
            wide: [mean.low, mean.high],
            narrow: [mean.mean, mean.mean],
        })
    };
    let rows: Vec<Range> =
        of.places.iter().enumerate().take(N_RANGES_MAX).filter_map(range).collect();
    (!rows.is_empty()).then(|| Chart {
        title: "What the place does".to_owned(),
        lead: "Rating of an answer at a place, less its mean over all its places. Without \
               favour for a place every line crosses 0."
            .to_owned(),
        svg: ranges(&Ranges {
            title: "What the place does",
            what: "difference in rating, with its 95 % interval",
            rows: &rows,
            ends: [-0.25, 0.25],
            mark: Some(0.0),
        }),
        ..Chart::default()
    })
}

fn gaps(of: &JudgeFigures) -> Option<Chart> {
    let points = &of.gaps_survival;
    (points.len() > 1).then(|| Chart {
        title: "Best less worst rating".to_owned(),
        lead: "Judged rows whose answers lie at least so far apart.".to_owned(),
        svg: survival(points, "Best less worst rating", "rows", "least distance of best and worst"),
        head: vec!["at least", "rows"],
        numbers: points.iter().map(survivor).collect(),
    })
}

fn doubt(of: &Confidence) -> Chart {
    Chart {
        title: "The judge's doubt".to_owned(),
        lead: format!(
            "Entropy of each rating: 0 is certain, {} nats is blind chance.",
            words::number(of.entropy_max, 2)
        ),
        svg: histogram(&Histogram {
            values: &of.entropy,
            title: "The judge's doubt",
            what: "entropy of a rating, in nats",
            of: "ratings",
            ends: Some([0.0, of.entropy_max]),
        }),
        head: vec!["entropy", "ratings"],
        numbers: bins(&of.entropy.bins),
    }
}

fn choices(of: &JudgeFigures) -> Option<Chart> {
    const NAMES: [&str; 6] = ["1", "2", "3", "4", "5", "N/A"];
    let column = |(name, share): (&&'static str, &f64)| Column { name, share: *share };
    let shown: Vec<Column<'_>> = NAMES.iter().zip(&of.choices).map(column).collect();
    (!shown.is_empty()).then(|| Chart {
        title: "Probability of each rating".to_owned(),
        lead: "Mean over all answers: which digits this judge reaches for.".to_owned(),
        svg: columns("Probability of each rating", "rating", &shown),
        ..Chart::default()
    })
}

fn facts(of: &JudgeFigures) -> Vec<Fact> {
    let told = |share: &Share| {
        format!(
            "{} of {} ({})",
            words::count(share.n.round() as u64),
            words::count(share.of),
            words::percent(share.share)
        )
    };
    let mut facts = Vec::new();
    if let Some(ties) = &of.ties {
        facts.push(Fact::new("Rows with equal ratings", told(ties)));
        let shared = of.n_best_shared.to_string();
        facts.push(Fact::new("Rows that share the best rating", shared));
    }
    if of.n_unrated > 0 {
        facts.push(Fact::new("Answers rated N/A", words::count(of.n_unrated)));
    }
    match &of.orders {
        Some(orders) => {
            if let Some(flips) = &orders.flips {
                facts.push(Fact::new("Rows that flip with the order", told(flips)));
            }
            let wins = [orders.n_first_wins, orders.n_last_wins].map(words::count);
            let wins = format!("first place {}, last place {}", wins[0], wins[1]);
            facts.push(Fact::new("Flips where a place always won", wins));
        }
        None => facts.push(Fact::new("Orders of presentation", "one: flips cannot be seen")),
    }
    let confidence = of.confidence.as_ref();
    if let Some(unsure) = confidence.and_then(|confidence| confidence.unsure.as_ref()) {
        facts.push(Fact::new("Ratings with no choice above one half", told(unsure)));
    }
    let too_few = || "too few or too equal to tell".to_owned();
    let r = |of: &Option<_>| of.as_ref().map_or_else(too_few, words::correlation);
    facts.push(Fact::new("Length and rating, all answers", r(&of.length.overall)));
    facts.push(Fact::new("Length and rating, within a prompt", r(&of.length.within_prompts)));
    facts
}

fn matrix(of: &JudgeFigures) -> Option<Matrix> {
    if of.duels.is_empty() {
        return None;
    }
    let cell = |duel: &Duel| {
        let counts = [duel.n_wins, duel.n_ties, duel.n_losses].map(words::count);
        Cell::build(
            &duel.wins,
            format!("{} won, {} even, {} lost", counts[0], counts[1], counts[2]),
        )
    };
    let row = |of_row: &ModelRatings| {
        let find = |other: &ModelRatings| {
            of.duels.iter().find(|duel| duel.model == of_row.model && duel.other == other.model)
        };
        MatrixRow {
            model: words::label(&of_row.model, 80),
            cells: of.models.iter().map(|other| find(other).map(cell)).collect(),
            overall: of_row.wins.map(|wins| Cell::build(&wins, String::new())),
        }
    };
    Some(Matrix {
        models: of.models.iter().map(|of| words::label(&of.model, 80)).collect(),
        rows: of.models.iter().map(row).collect(),
    })
}

impl Cell {
    fn build(wins: &Share, counts: String) -> Self {
        Self {
            share: words::percent(wins.share),
            interval: words::interval(wins),
            counts,
            side: if wins.share >= 0.5 { "a" } else { "b" },
            strength: format!("{:.0}", 90.0 * (wins.share - 0.5).abs() * 2.0),
        }
    }
}

impl ModelView {
    fn build(of: &ModelRatings) -> Self {
        let nothing = || "\u{2013}".to_owned();
        let ratings = of.ratings.as_ref();
        Self {
            model: words::label(&of.model, 120),
            n_answers: words::count(of.n_answers),
            mean: ratings.map_or_else(nothing, |ratings| words::number(ratings.mean, 2)),
            median: ratings.map_or_else(nothing, |ratings| words::number(ratings.median, 2)),
            length: of.length.as_ref().map_or_else(nothing, |of| words::number(of.median, 0)),
            wins: of.wins.map_or_else(nothing, |wins| {
                format!("{} ({})", words::percent(wins.share), words::interval(&wins))
            }),
        }
    }
}

impl AspectView {
    fn build(of: &AspectFigures) -> Self {
        let nothing = || "\u{2013}".to_owned();
        let ratings = of.ratings.as_ref();
        let rating = |rating: fn(&Distribution) -> f64| {
            ratings.map_or_else(nothing, |ratings| words::number(rating(ratings), 2))
        };
        let share =
            |of: Option<&Share>| of.map_or_else(nothing, |share| words::percent(share.share));
        let confidence = of.confidence.as_ref();
        Self {
            aspect: words::label(&of.aspect, 80),
            n_rated: words::count(ratings.map_or(0, |ratings| ratings.n)),
            mean: rating(|ratings| ratings.mean),
            median: rating(|ratings| ratings.median),
            unrated: share(of.unrated.as_ref()),
            entropy: confidence.map_or_else(nothing, |of| {
                let [mean, most] = [of.entropy.mean, of.entropy_max].map(|n| words::number(n, 2));
                format!("{mean} of {most}")
            }),
            unsure: share(confidence.and_then(|of| of.unsure.as_ref())),
            flips: share(of.orders.as_ref().and_then(|orders| orders.flips.as_ref())),
        }
    }
}
