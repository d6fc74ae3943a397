//! What each model's rows cost, in tokens, and why its answers ended.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::history::Work;
use super::share::Share;

/// A model's share of the run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelFigures {
    /// Its name in the recipe.
    pub model: String,
    /// The name that rows carry.
    pub name: String,
    /// Where it came from.
    pub source: String,
    /// How its weights were held.
    pub quantize: String,
    /// The steps that asked it.
    pub steps: Vec<String>,
    /// What the rows in the folder cost.
    pub rows: Cost,
    /// What all runs in the folder did, where that was written down.
    pub work: Option<Work>,
}

/// Tokens of answers that became rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Answers.
    pub n_answers: u64,
    /// Tokens of their prompts.
    pub n_input: u64,
    /// Tokens of the answers.
    pub n_output: u64,
    /// Answers by the reason why they ended.
    pub finish: BTreeMap<String, u64>,
}

impl Cost {
    /// Takes the statistics of a row's answers.
    pub(super) fn add(&mut self, statistics: &[&Value]) {
        for answer in statistics {
            let n = |name: &str| answer[name].as_u64().unwrap_or(0);
            self.n_answers += 1;
            self.n_input += n("input_tokens");
            self.n_output += n("output_tokens");
            if let Some(reason) = answer["finish_reason"].as_str() {
                *self.finish.entry(reason.to_owned()).or_default() += 1;
            }
        }
    }

    /// Adds what another step cost.
    pub(super) fn add_all(&mut self, other: &Self) {
        self.n_answers += other.n_answers;
        self.n_input += other.n_input;
        self.n_output += other.n_output;
        for (reason, n) in &other.finish {
            *self.finish.entry(reason.clone()).or_default() += n;
        }
    }

    /// Answers that were cut at their most tokens.
    pub fn cut(&self) -> Option<Share> {
        Share::of(self.finish.get("length").copied().unwrap_or(0), self.n_answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn costs_add_up_by_reason() {
        let answer =
            |reason: &str| json!({"input_tokens": 10, "output_tokens": 4, "finish_reason": reason});
        let (cut, ended) = (answer("length"), answer("stop"));
        let mut cost = Cost::default();
        cost.add(&[&cut, &ended]);
        let mut all = Cost::default();
        all.add(&[&ended, &json!(null)]);
        all.add_all(&cost);
        assert_eq!((all.n_answers, all.n_input, all.n_output), (4, 30, 12));
        assert_eq!((all.finish["stop"], all.cut().map(|share| share.n)), (2, Some(1.0)));
    }
}
