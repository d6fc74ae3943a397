//! From filled forms to ratings.
//!
//! Probabilities of all orders are mapped back to the texts and averaged before anything is
//! decided; what each order said alone is kept beside it.

use super::form::{Form, Slot};
use crate::llm::Answer;

/// What the judge said about one row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    /// `[texts]`
    pub(crate) texts: Vec<TextReading>,
    /// `[orders, texts]` the expected rating of each text in each order.
    pub(crate) expected_per_order: Vec<Vec<Option<f64>>>,
}

/// What the judge said about one text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextReading {
    /// `[choices]` probability of each rating, averaged over the orders.
    pub(crate) probabilities: Vec<f64>,
    /// Mean over the digits; `None` when "not applicable" is likelier than all digits together.
    pub(crate) expected: Option<f64>,
    /// The rating taken: with one order the one that was written, with several one taken from the
    /// averaged probabilities. `None` for "not applicable".
    pub(crate) sampled: Option<u8>,
    /// Of the probabilities, in nats.
    pub(crate) entropy: f64,
    /// The kind, from the averaged probabilities; `None` for none.
    pub(crate) kind: Option<u8>,
    /// The reason of the rating, from the flow's own order.
    pub(crate) rating_reason: Option<String>,
    /// The reason of the kind, from the flow's own order.
    pub(crate) kind_reason: Option<String>,
}

/// A form that was not filled to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CutShort;

/// How a rating is taken from averaged probabilities.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taking {
    /// 0 takes the likeliest.
    pub(crate) temperature: f32,
    /// Key of the randomness.
    pub(crate) noise: u64,
}

/// Reads the answers, one for each order.
pub(crate) fn read(
    form: &Form,
    orders: &[Vec<usize>],
    answers: &[&Answer],
    taking: Taking,
) -> Result<Reading, CutShort> {
    assert_eq!(orders.len(), answers.len(), "one answer for each order");
    let n_texts = orders[0].len();
    let mut drafts = vec![Draft::default(); n_texts];
    let mut expected_per_order = Vec::with_capacity(orders.len());
    for (nth, (order, answer)) in orders.iter().zip(answers).enumerate() {
        let mut expected = vec![None; n_texts];
        let mut choices = answer.choices.iter();
        for (segment, slot) in form.slots.iter().enumerate() {
            let Some((position, slot)) = *slot else { continue };
            let text = order[position];
            let draft = &mut drafts[text];
            let part = answer.parts.get(segment).ok_or(CutShort)?;
            match slot {
                Slot::Rating => {
                    let choice = choices.next().ok_or(CutShort)?;
                    let probabilities = probabilities(&choice.logprobs);
                    expected[text] = expect(&probabilities);
                    add(&mut draft.rating, &probabilities);
                    draft.rating_taken = choice.taken;
                }
                Slot::Kind => {
                    let choice = choices.next().ok_or(CutShort)?;
                    add(&mut draft.kind, &probabilities(&choice.logprobs));
                    draft.kind_taken = choice.taken;
                }
                Slot::RatingReason if nth == 0 => draft.rating_reason = Some(tidy(part)),
                Slot::KindReason if nth == 0 => draft.kind_reason = Some(tidy(part)),
                Slot::RatingReason | Slot::KindReason => {}
            }
        }
        expected_per_order.push(expected);
    }
    let texts = drafts.into_iter().enumerate();
    let texts = texts.map(|(text, draft)| draft.decide(orders.len(), taking, text)).collect();
    Ok(Reading { texts, expected_per_order })
}

/// Ratings that lie no further apart share a place: two equal texts differ by less from place to
/// place, and nobody would call that a change of mind.
const ALIKE: f64 = 0.01;

/// Whether another text comes out best when the order changes: no text is among the best in every
/// order. `[orders, texts]` ratings.
pub(crate) fn flips(per_order: &[Vec<Option<f64>>]) -> bool {
    let is_best = |ratings: &Vec<Option<f64>>, text: usize| {
        let least = ratings[text].map_or(f64::NEG_INFINITY, |rating| rating + ALIKE);
        ratings.iter().flatten().all(|other| *other <= least)
    };
    let stays = |text: usize| per_order.iter().all(|ratings| is_best(ratings, text));
    let n_texts = per_order.first().map_or(0, Vec::len);
    n_texts > 0 && !(0..n_texts).any(stays)
}

/// What is known of one text while its orders are read.
#[derive(Debug, Clone, Default)]
struct Draft {
    /// Sums over the orders.
    rating: Vec<f64>,
    kind: Vec<f64>,
    rating_taken: usize,
    kind_taken: usize,
    rating_reason: Option<String>,
    kind_reason: Option<String>,
}

impl Draft {
    fn decide(self, n_orders: usize, taking: Taking, text: usize) -> TextReading {
        let mean =
            |sums: &[f64]| -> Vec<f64> { sums.iter().map(|sum| sum / n_orders as f64).collect() };
        let probabilities = mean(&self.rating);
        let kinds = mean(&self.kind);
        let (rating, kind) = if n_orders == 1 {
            (self.rating_taken, self.kind_taken)
        } else {
            let of = |slot| uniform(taking.noise, text, slot);
            (
                take(&probabilities, taking.temperature, of(0)),
                take(&kinds, taking.temperature, of(1)),
            )
        };
        TextReading {
            expected: expect(&probabilities),
            sampled: digit(rating, 5),
            entropy: entropy(&probabilities),
            kind: if kinds.is_empty() { None } else { digit(kind, 3) },
            probabilities,
            rating_reason: self.rating_reason,
            kind_reason: self.kind_reason,
        }
    }
}

/// The digit at a place among the choices; the ones after the digits mean none.
fn digit(index: usize, n_digits: usize) -> Option<u8> {
    u8::try_from(index + 1).ok().filter(|_| index < n_digits)
}

fn probabilities(logprobs: &[f32]) -> Vec<f64> {
    logprobs.iter().map(|logprob| f64::from(*logprob).exp()).collect()
}

fn add(sums: &mut Vec<f64>, values: &[f64]) {
    sums.resize(values.len(), 0.0);
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

/// The mean over the digits 1 to 5, renormalised; a sixth choice is "not applicable".
fn expect(probabilities: &[f64]) -> Option<f64> {
    let digits = &probabilities[..probabilities.len().min(5)];
    let share: f64 = digits.iter().sum();
    let beyond: f64 = probabilities[digits.len()..].iter().sum();
    let mean = digits.iter().zip(1..).map(|(p, rating)| p * f64::from(rating)).sum::<f64>();
    (share > beyond).then(|| mean / share)
}

fn entropy(probabilities: &[f64]) -> f64 {
    let nats: f64 = probabilities.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
    nats.max(0.0)
}

/// Takes one choice: the likeliest at temperature 0, else by `uniform` from the tempered ones.
fn take(probabilities: &[f64], temperature: f32, uniform: f64) -> usize {
    if temperature == 0.0 {
        let mut best = 0;
        for (i, p) in probabilities.iter().enumerate() {
            if *p > probabilities[best] {
                best = i;
            }
        }
        return best;
    }
    let power = 1.0 / f64::from(temperature);
    let tempered: Vec<f64> = probabilities.iter().map(|p| p.powf(power)).collect();
    let mut left = uniform * tempered.iter().sum::<f64>();
    for (i, p) in tempered.iter().enumerate() {
        left -= p;
        if left < 0.0 {
            return i;
        }
    }
    probabilities.len().saturating_sub(1)
}

/// A number in [0, 1) that depends on nothing but the key, the text and the slot.
fn uniform(noise: u64, text: usize, slot: u64) -> f64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"rating\0").update(&noise.to_le_bytes());
    hasher.update(&(text as u64).to_le_bytes()).update(&slot.to_le_bytes());
    let hash = hasher.finalize();
    let mut bits = [0; 8];
    bits.copy_from_slice(&hash.as_bytes()[..8]);
    (u64::from_le_bytes(bits) >> 11) as f64 / (1_u64 << 53) as f64
}

fn tidy(rationale: &str) -> String {
    rationale.trim().to_owned()
}

#[cfg(test)]
mod tests;
