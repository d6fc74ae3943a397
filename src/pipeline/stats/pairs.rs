//! The figures of one leaf: its rows, and where they are pairs, margins, lengths and models.

use std::collections::BTreeMap;

use serde::Serialize;

use super::cells::{Cells, Distribution, Survival};
use super::moments::{Comoments, Correlation};
use super::rows::{PairLine, Side};
use super::sample::Sample;
use super::share::Share;
use crate::data::row::RowId;

/// Bars of a histogram.
const N_BINS: usize = 20;

/// Pairs of which lengths and margin are remembered, to be drawn and to choose samples from.
const N_REMEMBERED: usize = 2000;

/// Names of models told apart.
const N_MODELS_MAX: usize = 24;

/// A leaf of the flow, whose rows the data set is made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeafFigures {
    /// The step.
    pub step: String,
    /// Its rows.
    pub n_rows: u64,
    /// What the pairs among them are like; nothing where none is one.
    pub pairs: Option<PairFigures>,
}

/// Pairs in figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairFigures {
    /// Pairs.
    pub n: u64,
    /// Rating of the chosen answer less that of the rejected one.
    pub margins: Option<Distribution>,
    /// Pairs whose margin reaches a bound: what `min_margin` would leave.
    pub margins_survival: Vec<Survival>,
    /// Lengths of chosen answers, in characters.
    pub chosen_length: Option<Distribution>,
    /// Lengths of rejected answers, in characters.
    pub rejected_length: Option<Distribution>,
    /// Pairs whose chosen answer is the longer one; equal lengths count half.
    pub longer: Option<Share>,
    /// Length and rating, over both sides of all pairs.
    pub length_and_rating: Option<Correlation>,
    /// How often each model's answer was chosen and rejected.
    pub models: Vec<ModelSides>,
    /// Some of the pairs, by row: what the report draws and shows.
    #[serde(skip)]
    pub(crate) remembered: Vec<Remembered>,
}

/// How often a model's answer was chosen and rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelSides {
    /// The name that rows carry.
    pub model: String,
    /// Pairs in which its answer was chosen.
    pub n_chosen: u64,
    /// Pairs in which its answer was rejected.
    pub n_rejected: u64,
}

/// What is remembered of a pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Remembered {
    pub(crate) id: RowId,
    /// Where its line starts.
    pub(crate) offset: u64,
    pub(crate) margin: Option<f64>,
    /// Characters of chosen and rejected.
    pub(crate) lengths: [usize; 2],
}

/// Counts what a leaf's rows say.
pub(super) struct PairTally {
    n_rows: u64,
    n_pairs: u64,
    margins: Cells,
    chosen_length: Cells,
    rejected_length: Cells,
    n_longer: f64,
    length_and_rating: Comoments,
    models: BTreeMap<String, [u64; 2]>,
    remembered: Sample<Remembered>,
}

impl PairTally {
    pub(super) fn new() -> Self {
        Self {
            n_rows: 0,
            n_pairs: 0,
            margins: Cells::fine(),
            chosen_length: Cells::whole(),
            rejected_length: Cells::whole(),
            n_longer: 0.0,
            length_and_rating: Comoments::default(),
            models: BTreeMap::new(),
            remembered: Sample::new(N_REMEMBERED),
        }
    }

    /// Takes the row whose line starts at `offset`.
    pub(super) fn add(&mut self, offset: u64, line: &PairLine) {
        self.n_rows += 1;
        let Some([chosen, rejected]) = line.sides() else { return };
        self.n_pairs += 1;
        let margin = line.margin();
        self.margins.add(margin.unwrap_or(f64::NAN));
        self.chosen_length.add(chosen.n_chars as f64);
        self.rejected_length.add(rejected.n_chars as f64);
        self.n_longer += match chosen.n_chars.cmp(&rejected.n_chars) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        };
        for (place, side) in [&chosen, &rejected].into_iter().enumerate() {
            self.side(place, side);
        }
        let lengths = [chosen.n_chars, rejected.n_chars];
        let id = line.row.id;
        self.remembered.add(id, Remembered { id, offset, margin, lengths });
    }

    fn side(&mut self, place: usize, side: &Side<'_>) {
        if let Some(rating) = side.rating {
            self.length_and_rating.add(side.n_chars as f64, rating);
        }
        let Some(model) = side.model else { return };
        if let Some(counts) = self.models.get_mut(model) {
            counts[place] += 1;
        } else if self.models.len() < N_MODELS_MAX {
            self.models.entry(model.to_owned()).or_default()[place] += 1;
        } else {
            self.models.entry("others".to_owned()).or_default()[place] += 1;
        }
    }

    /// What it all came to.
    pub(super) fn figures(self, step: &str) -> LeafFigures {
        let Self { n_rows, n_pairs, .. } = self;
        let pairs = (n_pairs > 0).then(|| self.pairs());
        LeafFigures { step: step.to_owned(), n_rows, pairs }
    }

    fn pairs(self) -> PairFigures {
        let sides = |(model, [n_chosen, n_rejected]): (String, [u64; 2])| ModelSides {
            model,
            n_chosen,
            n_rejected,
        };
        let mut models: Vec<ModelSides> = self.models.into_iter().map(sides).collect();
        models.sort_by_key(|of| std::cmp::Reverse(of.n_chosen));
        PairFigures {
            n: self.n_pairs,
            margins: self.margins.distribution(N_BINS),
            margins_survival: self.margins.survival(),
            chosen_length: self.chosen_length.distribution(N_BINS),
            rejected_length: self.rejected_length.distribution(N_BINS),
            longer: Share::new(self.n_longer, self.n_pairs),
            length_and_rating: self.length_and_rating.correlation(),
            models,
            remembered: self.remembered.into_rows().map(|(_, pair)| pair).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn three_pairs_by_hand() {
        let mut tally = PairTally::new();
        let sides = [("xxxx", "x", 4.0, 2.0), ("xx", "xx", 3.5, 3.0), ("x", "xxx", 5.0, 1.0)];
        for (i, (chosen, rejected, best, worst)) in sides.into_iter().enumerate() {
            let turns = |text: &str| json!([{"role": "assistant", "content": text}]);
            let line = json!({
                "_row": {"id": format!("{i:032x}")}, "margin": best - worst,
                "chosen": turns(chosen), "chosen_rating": best, "chosen_model": "a",
                "rejected": turns(rejected), "rejected_rating": worst, "rejected_model": "b",
            });
            tally.add(0, &serde_json::from_value(line).unwrap());
        }
        let plain = json!({"_row": {"id": "f".repeat(32)}, "text": "no pair"});
        tally.add(0, &serde_json::from_value(plain).unwrap());
        let leaf = tally.figures("dpo");
        let pairs = leaf.pairs.unwrap();
        assert_eq!((leaf.n_rows, pairs.n, pairs.longer.unwrap().n), (4, 3, 1.5));
        assert_eq!(pairs.margins.unwrap().median, 2.0);
        let left = |bound: f64| pairs.margins_survival.iter().find(|p| p.at_least >= bound - 1e-9);
        assert_eq!([0.0, 0.5, 0.6, 4.0].map(|bound| left(bound).unwrap().n), [3, 3, 2, 1]);
        assert_eq!(pairs.chosen_length.unwrap().mean, 2.333333);
        assert_eq!((pairs.models[0].n_chosen, pairs.models[1].n_rejected), (3, 3));
        assert_eq!(pairs.remembered[0].lengths, [4, 1]);
    }

    #[test]
    fn a_leaf_without_pairs_has_rows_only() {
        let leaf = PairTally::new().figures("dpo");
        assert_eq!((leaf.n_rows, leaf.pairs), (0, None));
    }
}
