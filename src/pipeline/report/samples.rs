//! Some pairs, side by side: chosen so that small, middling and large margins are all seen.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words::{self, Shown};
use crate::Result;
use crate::data::lines;
use crate::data::row::RowId;
use crate::pipeline::stats::{PairLine, Remembered, Side, items};

/// Characters shown of a prompt, an answer and a reason.
const N_PROMPT_MAX: usize = 700;
const N_ANSWER_MAX: usize = 1400;
const N_REASON_MAX: usize = 500;

/// A pair on the page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct SampleView {
    margin: String,
    system: Option<Shown>,
    prompt: Shown,
    sides: Vec<SideView>,
}

/// One side of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct SideView {
    side: &'static str,
    model: String,
    rating: String,
    answer: Shown,
    n_chars: String,
    reason: Option<Shown>,
}

/// The columns that a sample needs. Gathering them for `flatten` costs little for so few lines.
#[derive(Debug, Deserialize)]
struct SampleLine {
    #[serde(flatten)]
    pair: PairLine,
    #[serde(default)]
    prompt: Value,
    #[serde(default)]
    generations: Value,
    #[serde(default)]
    ratings: Value,
    #[serde(default)]
    rationales: Value,
    #[serde(default, rename = "rationales-for-ratings")]
    rating_rationales: Value,
}

/// So many of the pairs, evenly spread over their margins.
pub(super) fn choose(pairs: &[Remembered], n_samples: usize) -> Vec<Remembered> {
    let mut sorted: Vec<Remembered> = pairs.to_vec();
    sorted.sort_by(|a, b| {
        let margin = |pair: &Remembered| pair.margin.unwrap_or(0.0);
        margin(b).total_cmp(&margin(a)).then(a.id.cmp(&b.id))
    });
    if sorted.len() <= n_samples {
        return sorted;
    }
    // Both ends are taken, and the rest at equal distances between them.
    let at = |nth: usize| nth * (sorted.len() - 1) / (n_samples - 1).max(1);
    (0..n_samples).map(|nth| sorted[at(nth)]).collect()
}

/// Reads those pairs of a step's file, in the same order.
pub(super) fn read(path: &Path, pairs: &[Remembered]) -> Result<Vec<SampleView>> {
    let mut views: BTreeMap<RowId, SampleView> = BTreeMap::new();
    for line in lines::read(path)? {
        let (offset, line) = line?;
        let Some(pair) = pairs.iter().find(|pair| pair.offset == offset) else { continue };
        // A line that can no longer be read has changed since the figures were.
        if let Ok(line) = serde_json::from_slice::<SampleLine>(&line) {
            views.extend(line.view(pair).map(|view| (pair.id, view)));
        }
    }
    Ok(pairs.iter().filter_map(|pair| views.remove(&pair.id)).collect())
}

impl SampleLine {
    fn view(&self, pair: &Remembered) -> Option<SampleView> {
        let [chosen, rejected] = self.pair.sides()?;
        let prompt = self.prompt.as_str().or_else(|| self.pair.turn("user")).unwrap_or_default();
        Some(SampleView {
            margin: pair.margin.map_or("\u{2013}".to_owned(), |margin| words::number(margin, 2)),
            system: self.pair.turn("system").map(|text| words::shown(text, N_PROMPT_MAX)),
            prompt: words::shown(prompt, N_PROMPT_MAX),
            sides: vec![self.side("chosen", &chosen), self.side("rejected", &rejected)],
        })
    }

    fn side(&self, name: &'static str, side: &Side<'_>) -> SideView {
        SideView {
            side: name,
            model: words::label(side.model.unwrap_or_default(), 120),
            rating: side.rating.map_or(String::new(), |rating| words::number(rating, 2)),
            answer: words::shown(side.answer, N_ANSWER_MAX),
            n_chars: words::count(side.n_chars as u64),
            reason: self.reason(side).map(|text| words::shown(text, N_REASON_MAX)),
        }
    }

    /// What the judge said of the answer, where it said something.
    fn reason(&self, side: &Side<'_>) -> Option<&str> {
        let (answers, ratings) = (items(&self.generations), items(&self.ratings));
        let is_it = |i: &usize| {
            let rating = ratings.get(*i);
            answers[*i] == *side.answer && rating.is_none_or(|known| known.as_f64() == side.rating)
        };
        let place = (0..answers.len()).find(is_it)?;
        let reasons = [&self.rating_rationales, &self.rationales];
        let mut reasons = reasons.into_iter().filter_map(|list| items(list).get(place)?.as_str());
        reasons.find(|reason| !reason.trim().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pair(i: u8, margin: f64) -> Remembered {
        Remembered { id: RowId([i; 16]), offset: 0, margin: Some(margin), lengths: [1, 1] }
    }

    #[test]
    fn samples_reach_from_the_largest_margin_to_the_smallest() {
        let pairs: Vec<Remembered> =
            (0..101).map(|i| pair(i, f64::from(u32::from(i) * 37 % 101) / 100.0)).collect();
        let chosen = choose(&pairs, 5);
        let margins: Vec<f64> = chosen.iter().filter_map(|pair| pair.margin).collect();
        assert_eq!(margins, [1.0, 0.75, 0.5, 0.25, 0.0]);
        assert_eq!(choose(&pairs[..3], 5).len(), 3);
        assert!(choose(&[], 5).is_empty());
    }

    #[test]
    fn a_sample_shows_prompt_answers_and_reasons() {
        let turns = |text: &str| {
            json!([{"role": "system", "content": "be brief"}, {"role": "user", "content": "why?"},
                {"role": "assistant", "content": text}])
        };
        let line = json!({
            "_row": {"id": "0".repeat(32)}, "chosen": turns("so"), "rejected": turns("no"), "chosen_model": "a",
            "chosen_rating": 4.5, "rejected_rating": 2, "generations": ["no", "so"],
            "ratings": [2, 4.5], "rationales": ["bad", "good"],
        });
        let line: SampleLine = serde_json::from_value(line).unwrap();
        let view = line.view(&pair(1, 2.5)).unwrap();
        assert_eq!((view.margin.as_str(), view.prompt.text.as_str()), ("2.50", "why?"));
        assert_eq!(view.system.unwrap().text, "be brief");
        let reason = |side: usize| view.sides[side].reason.as_ref().unwrap().text.clone();
        assert_eq!((reason(0), reason(1)), ("good".to_owned(), "bad".to_owned()));
        assert_eq!((view.sides[0].rating.as_str(), view.sides[1].model.as_str()), ("4.50", ""));
    }
}
