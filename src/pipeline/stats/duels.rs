//! Which model's answer beats which.
//!
//! The unit is the prompt: several answers of one model to one prompt are compared one by one and
//! averaged, because they are no news of their own. A tie counts half.

use std::collections::BTreeMap;

use serde::Serialize;

use super::share::Share;

/// Names of models told apart; data of a stranger may bring thousands.
const N_MODELS_MAX: usize = 24;

/// The name of all further models together.
const OTHERS: &str = "others";

/// Two ratings that differ by less are equal: they carry six decimals.
pub(super) const EQUAL: f64 = 5e-7;

/// One model against another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Duel {
    /// The model.
    pub model: String,
    /// The one it is compared with.
    pub other: String,
    /// Prompts that both answered.
    pub n_prompts: u64,
    /// Comparisons that the model won.
    pub n_wins: u64,
    /// Comparisons of equal ratings.
    pub n_ties: u64,
    /// Comparisons that the other one won.
    pub n_losses: u64,
    /// Prompts won, ties counted half.
    pub wins: Share,
}

/// Counts comparisons.
#[derive(Debug, Default)]
pub(super) struct Duels {
    names: Vec<String>,
    /// By two indices into `names`, the smaller first.
    cells: BTreeMap<(usize, usize), Cell>,
    /// Of each model: prompts that another one answered too, and the sum of the shares won.
    totals: BTreeMap<usize, (u64, f64)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    n_prompts: u64,
    n_wins: u64,
    n_ties: u64,
    n_losses: u64,
    /// Sum over prompts of the share won.
    score: f64,
}

impl Duels {
    /// The index of a model's name.
    pub(super) fn index(&mut self, name: &str) -> usize {
        if let Some(known) = self.names.iter().position(|known| known == name) {
            return known;
        }
        if self.names.len() < N_MODELS_MAX {
            self.names.push(name.to_owned());
        } else if self.names.len() == N_MODELS_MAX {
            self.names.push(OTHERS.to_owned());
        }
        self.names.len() - 1
    }

    pub(super) fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    /// Takes the rated answers to one prompt, each with its model's index.
    pub(super) fn add(&mut self, answers: &[(usize, f64)]) {
        let mut of_prompt: BTreeMap<(usize, usize), Cell> = BTreeMap::new();
        for (i, (model, rating)) in answers.iter().enumerate() {
            for (other, other_rating) in &answers[i + 1..] {
                if model == other {
                    continue;
                }
                let is_turned = model > other;
                let cell = of_prompt.entry((*model.min(other), *model.max(other))).or_default();
                let ahead = if is_turned { other_rating - rating } else { rating - other_rating };
                cell.n_wins += u64::from(ahead > EQUAL);
                cell.n_losses += u64::from(ahead < -EQUAL);
                cell.n_ties += u64::from(ahead.abs() <= EQUAL);
            }
        }
        let mut shares: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for ((one, other), seen) in of_prompt {
            let cell = self.cells.entry((one, other)).or_default();
            let n = (seen.n_wins + seen.n_ties + seen.n_losses) as f64;
            let share = (seen.n_wins as f64 + 0.5 * seen.n_ties as f64) / n;
            cell.n_prompts += 1;
            cell.n_wins += seen.n_wins;
            cell.n_ties += seen.n_ties;
            cell.n_losses += seen.n_losses;
            cell.score += share;
            shares.entry(one).or_default().push(share);
            shares.entry(other).or_default().push(1.0 - share);
        }
        for (model, shares) in shares {
            let (n_prompts, score) = self.totals.entry(model).or_default();
            *n_prompts += 1;
            *score += shares.iter().sum::<f64>() / shares.len() as f64;
        }
    }

    /// A model against all others together; again a prompt counts once.
    pub(super) fn against_all(&self, model: usize) -> Option<Share> {
        let (n_prompts, score) = self.totals.get(&model)?;
        Share::new(*score, *n_prompts)
    }

    /// Every model against every other one, both ways.
    pub(super) fn matrix(&self) -> Vec<Duel> {
        let duel = |model: usize, other: usize, cell: &Cell| {
            Some(Duel {
                model: self.names[model].clone(),
                other: self.names[other].clone(),
                n_prompts: cell.n_prompts,
                n_wins: cell.n_wins,
                n_ties: cell.n_ties,
                n_losses: cell.n_losses,
                wins: Share::new(cell.score, cell.n_prompts)?,
            })
        };
        let mut duels: Vec<Duel> = Vec::new();
        for ((one, other), cell) in &self.cells {
            duels.extend(duel(*one, *other, cell));
            duels.extend(duel(*other, *one, &cell.turned()));
        }
        duels.sort_by(|a, b| (&a.model, &a.other).cmp(&(&b.model, &b.other)));
        duels
    }
}

impl Cell {
    fn turned(&self) -> Self {
        let score = self.n_prompts as f64 - self.score;
        Self { n_wins: self.n_losses, n_losses: self.n_wins, score, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_counted_not_samples() {
        let mut duels = Duels::default();
        let [b, a] = ["b", "a"].map(|name| duels.index(name));
        duels.add(&[(b, 4.0), (a, 2.0)]);
        duels.add(&[(b, 3.0), (a, 3.0)]);
        // Two answers of `a`, one better and one worse: half a prompt.
        duels.add(&[(a, 5.0), (b, 3.0), (a, 1.0)]);
        duels.add(&[(a, 5.0)]);
        let matrix = duels.matrix();
        assert_eq!((matrix[0].model.as_str(), matrix[0].other.as_str()), ("a", "b"));
        assert_eq!((matrix[0].n_wins, matrix[0].n_ties, matrix[0].n_losses), (1, 1, 2));
        assert_eq!((matrix[0].wins.n, matrix[0].wins.of), (1.0, 3));
        assert_eq!((matrix[1].wins.n, matrix[1].n_wins), (2.0, 2));
        assert_eq!(duels.against_all(b).map(|share| share.n), Some(2.0));
        // Against two others at once a prompt is still one.
        let c = duels.index("c");
        duels.add(&[(a, 3.0), (b, 2.0), (c, 4.0)]);
        assert_eq!(duels.against_all(a).map(|share| (share.n, share.of)), Some((1.5, 4)));
    }

    #[test]
    fn one_model_has_nobody_to_beat_and_thousands_are_gathered() {
        let mut duels = Duels::default();
        let only = duels.index("only");
        duels.add(&[(only, 1.0), (only, 2.0)]);
        assert!(duels.matrix().is_empty() && duels.against_all(only).is_none());
        let last = (0..100).map(|i| duels.index(&format!("m{i}"))).last().unwrap();
        assert_eq!((last, duels.name(last)), (N_MODELS_MAX, OTHERS));
    }
}
