//! Which of a row's rated answers make pairs.
//!
//! A policy names candidates; a candidate that cannot teach a preference is left out: sides that
//! say the same once normalised, an empty side, too small a margin, too unequal lengths. Where
//! nothing is left, the reason is that of best against worst. It must not know columns.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Dropped;
use crate::recipe::spec::{FormatTextGenerationDpo, PairPolicy, Ties};
use crate::text::near::normalise;

/// An answer and what it is worth.
pub(super) struct Rated<'a> {
    /// Normalised.
    text: Cow<'a, str>,
    n_chars: usize,
    rating: f64,
}

impl<'a> Rated<'a> {
    pub(super) fn new(text: &'a str, rating: f64) -> Self {
        let text = normalise(text);
        Self { n_chars: text.chars().count(), text, rating }
    }
}

/// By how much one rating exceeds another. Ratings carry six decimals, and so does what lies
/// between them.
pub(super) fn margin(chosen: &Rated<'_>, rejected: &Rated<'_>) -> f64 {
    ((chosen.rating - rejected.rating) * 1e6).round() / 1e6
}

/// The pairs of a row, (chosen, rejected), at least one. `uniform(n)` draws a number below `n`.
pub(super) fn pick(
    spec: &FormatTextGenerationDpo,
    rated: &[Rated<'_>],
    uniform: &dyn Fn(usize) -> usize,
) -> Result<Vec<(usize, usize)>, Dropped> {
    if rated.len() < spec.policy.n_answers_min() {
        return Err(match spec.policy {
            PairPolicy::BestMu2Sigma => {
                Dropped::new("fewer than five answers", format!("there are {}", rated.len()))
            }
            PairPolicy::BestWorst | PairPolicy::BestRandomLower | PairPolicy::AllOrdered => {
                Dropped::new("fewer than two answers", "")
            }
        });
    }
    let (best, worst) = ends(spec.ties, rated);
    let beats = |a: usize, b: usize| order(spec.ties, &rated[a], &rated[b]).is_gt();
    if !beats(best, worst) {
        return Err(Dropped::new("equal ratings", format!("all are {}", rated[best].rating)));
    }
    let below = |chosen: usize| {
        (0..rated.len())
            .filter(move |other| beats(chosen, *other))
            .map(move |other| (chosen, other))
    };
    let candidates: Vec<(usize, usize)> = match spec.policy {
        PairPolicy::BestWorst => vec![(best, worst)],
        PairPolicy::BestRandomLower | PairPolicy::BestMu2Sigma => below(best).collect(),
        PairPolicy::AllOrdered => (0..rated.len()).flat_map(below).collect(),
    };
    let teaches = |(chosen, rejected): &(usize, usize)| {
        fault(spec, &rated[*chosen], &rated[*rejected]).is_none()
    };
    let mut left: Vec<(usize, usize)> = candidates.into_iter().filter(teaches).collect();
    if left.is_empty() {
        let fault = fault(spec, &rated[best], &rated[worst]);
        return Err(fault.expect("best against worst is a candidate of every policy"));
    }
    match spec.policy {
        PairPolicy::BestWorst => {}
        PairPolicy::BestRandomLower => left = vec![left[uniform(left.len())]],
        PairPolicy::BestMu2Sigma => left = vec![nearest_to_mu2sigma(&left, rated)],
        PairPolicy::AllOrdered => {
            let width =
                |(chosen, rejected): &(usize, usize)| margin(&rated[*chosen], &rated[*rejected]);
            // Stable: pairs of one width stay in the answers' order.
            left.sort_by(|a, b| width(b).total_cmp(&width(a)));
            left.truncate(spec.max_pairs_per_prompt.unwrap_or(usize::MAX));
        }
    }
    Ok(left)
}

/// The best and the worst answer, the first of each where several tie.
fn ends(ties: Ties, rated: &[Rated<'_>]) -> (usize, usize) {
    let (mut best, mut worst) = (0, 0);
    for (i, answer) in rated.iter().enumerate() {
        if order(ties, answer, &rated[best]).is_gt() {
            best = i;
        }
        if order(ties, answer, &rated[worst]).is_lt() {
            worst = i;
        }
    }
    (best, worst)
}

/// Which of two answers is preferred.
fn order(ties: Ties, a: &Rated<'_>, b: &Rated<'_>) -> Ordering {
    let by_rating = a.rating.total_cmp(&b.rating);
    match ties {
        Ties::Drop => by_rating,
        Ties::Shorter => by_rating.then(b.n_chars.cmp(&a.n_chars)),
    }
}

/// Why two answers make no pair.
fn fault(
    spec: &FormatTextGenerationDpo,
    chosen: &Rated<'_>,
    rejected: &Rated<'_>,
) -> Option<Dropped> {
    if chosen.text.is_empty() || rejected.text.is_empty() {
        return Some(Dropped::new("empty answer", "chosen or rejected would be empty"));
    }
    if chosen.text == rejected.text {
        return Some(Dropped::new("equal texts", "chosen and rejected would say the same"));
    }
    let margin = margin(chosen, rejected);
    if margin < spec.min_margin {
        let detail = format!("{margin}, at least {} is asked for", spec.min_margin);
        return Some(Dropped::new("margin too small", detail));
    }
    let (long, short) =
        (chosen.n_chars.max(rejected.n_chars), chosen.n_chars.min(rejected.n_chars));
    if let Some(ratio_max) = spec.max_length_ratio
        && long as f64 > ratio_max * short as f64
    {
        let detail = format!("{long} and {short} characters, at most {ratio_max} times as many");
        return Some(Dropped::new("lengths too far apart", detail));
    }
    None
}

/// The pair whose rejected rating is nearest to the mean of all less two standard deviations.
fn nearest_to_mu2sigma(pairs: &[(usize, usize)], rated: &[Rated<'_>]) -> (usize, usize) {
    let n = rated.len() as f64;
    let mean = rated.iter().map(|answer| answer.rating).sum::<f64>() / n;
    let variance = rated.iter().map(|answer| (answer.rating - mean).powi(2)).sum::<f64>() / n;
    let target = mean - 2.0 * variance.sqrt();
    let distance = |(_, rejected): &(usize, usize)| (rated[*rejected].rating - target).abs();
    let nearest = pairs.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
    *nearest.expect("there is a pair")
}

#[cfg(test)]
mod tests;
