//! How far a run is: counts, rates and times left, worked out from the pipeline's events.
//!
//! It has no clock: whoever tells an event tells the time since the start with it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::pipeline::{Event, Plan, Tokens};

/// How far back a rate looks, so that it follows what the machine does now.
const WINDOW: Duration = Duration::from_secs(10);

/// Counts of a run so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) steps: Vec<StepCount>,
    pub(super) models: Vec<ModelCount>,
}

/// One step.
#[derive(Debug)]
pub(super) struct StepCount {
    pub(super) name: String,
    /// Index of its model.
    pub(super) model: Option<usize>,
    /// Rows if none is dropped, where that is known.
    pub(super) n_rows: Option<u64>,
    pub(super) n_made: u64,
    pub(super) n_reused: u64,
    pub(super) n_dropped: u64,
}

/// One model.
#[derive(Debug)]
pub(super) struct ModelCount {
    pub(super) name: String,
    pub(super) tokens: Tokens,
    /// How much of its weights is read, while they are.
    pub(super) n_percent_read: Option<u64>,
    /// Times of answers in the window, with the output tokens so far.
    recent: VecDeque<(Duration, u64)>,
}

impl Counts {
    /// Begins with what the plan expects.
    fn plan(plan: &Plan) -> Self {
        let model_of = |name: &String| plan.models.iter().position(|model| model.name == *name);
        let steps = plan.steps.iter().map(|step| StepCount {
            name: step.name.clone(),
            model: step.model.as_ref().and_then(model_of),
            n_rows: step.n_rows,
            n_made: 0,
            n_reused: 0,
            n_dropped: 0,
        });
        let models = plan.models.iter().map(|model| ModelCount {
            name: model.name.clone(),
            tokens: Tokens::default(),
            n_percent_read: None,
            recent: VecDeque::new(),
        });
        Self { steps: steps.collect(), models: models.collect() }
    }

    /// Takes one event that happened at `now`.
    pub(super) fn take(&mut self, event: &Event<'_>, now: Duration) {
        match event {
            Event::Planned(plan) => *self = Self::plan(plan),
            Event::Row { step, reused } => {
                if let Some(step) = self.step(step) {
                    step.n_made += u64::from(!reused);
                    step.n_reused += u64::from(*reused);
                }
            }
            Event::Dropped { step, .. } => {
                if let Some(step) = self.step(step) {
                    step.n_dropped += 1;
                }
            }
            Event::Answered { model, tokens } => {
                if let Some(model) = self.models.iter_mut().find(|known| known.name == *model) {
                    model.answered(*tokens, now);
                }
            }
            Event::Reading { model, n_done, n_total } => {
                if let Some(model) = self.models.iter_mut().find(|known| known.name == *model) {
                    model.n_percent_read = Some(100 * n_done / n_total.max(&1));
                }
            }
            Event::Loaded { model } => {
                if let Some(model) = self.models.iter_mut().find(|known| known.name == *model) {
                    model.n_percent_read = None;
                }
            }
            Event::Stage { .. }
            | Event::Loading { .. }
            | Event::Unloaded { .. }
            | Event::RootDone { .. }
            | Event::Note { .. }
            | Event::WritingDataset => (),
        }
    }

    fn step(&mut self, name: &str) -> Option<&mut StepCount> {
        self.steps.iter_mut().find(|step| step.name == name)
    }

    /// Time until a step is done, from the tokens that its rows took so far.
    pub(super) fn step_left(&self, step: &StepCount) -> Option<Duration> {
        self.left(step.model?, &[step])
    }

    /// Time until a model has nothing left to do.
    pub(super) fn model_left(&self, model: usize) -> Option<Duration> {
        let steps: Vec<&StepCount> =
            self.steps.iter().filter(|step| step.model == Some(model)).collect();
        self.left(model, &steps)
    }

    fn left(&self, model: usize, steps: &[&StepCount]) -> Option<Duration> {
        let of_model = self.steps.iter().filter(|step| step.model == Some(model));
        let n_made: u64 = of_model.map(|step| step.n_made).sum();
        let mut n_left = 0;
        for step in steps {
            n_left += step.n_rows?.saturating_sub(step.n_done());
        }
        let model = &self.models[model];
        let rate = model.rate()?;
        let n_tokens = n_left as f64 * model.tokens.n_output as f64 / n_made.max(1) as f64;
        Duration::try_from_secs_f64(n_tokens / rate).ok()
    }
}

impl StepCount {
    /// Rows that this step is through with.
    pub(super) fn n_done(&self) -> u64 {
        self.n_made + self.n_reused + self.n_dropped
    }
}

impl ModelCount {
    fn answered(&mut self, tokens: Tokens, now: Duration) {
        self.tokens += tokens;
        self.recent.push_back((now, self.tokens.n_output));
        while self.recent.len() > 2 && now.saturating_sub(self.recent[0].0) > WINDOW {
            self.recent.pop_front();
        }
    }

    /// Output tokens a second, lately.
    pub(super) fn rate(&self) -> Option<f64> {
        let ((from, before), (to, after)) = (self.recent.front()?, self.recent.back()?);
        let seconds = to.saturating_sub(*from).as_secs_f64();
        (after > before && seconds > 0.0).then(|| (after - before) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts() -> Counts {
        let model = |name: &str| ModelCount {
            name: name.to_owned(),
            tokens: Tokens::default(),
            n_percent_read: None,
            recent: VecDeque::new(),
        };
        let step = |name: &str, n_rows| StepCount {
            name: name.to_owned(),
            model: Some(0),
            n_rows,
            n_made: 0,
            n_reused: 0,
            n_dropped: 0,
        };
        let steps = vec![step("a", Some(40)), step("b", Some(10))];
        Counts { steps, models: vec![model("m")] }
    }

    #[test]
    fn time_left_follows_tokens_not_rows() {
        let mut counts = counts();
        for second in 1..=11 {
            let tokens = Tokens { n_answers: 1, n_output: 50, ..Tokens::default() };
            let now = Duration::from_secs(second);
            counts.take(&Event::Answered { model: "m", tokens }, now);
            counts.take(&Event::Row { step: "a", reused: false }, now);
        }
        counts.take(&Event::Row { step: "a", reused: true }, Duration::from_secs(11));
        assert_eq!(counts.models[0].rate(), Some(50.0));
        // 40 rows less 12 done, 50 tokens each, 50 a second.
        assert_eq!(counts.step_left(&counts.steps[0]), Some(Duration::from_secs(28)));
        assert_eq!(counts.model_left(0), Some(Duration::from_secs(38)));
    }

    #[test]
    fn nothing_is_promised_before_it_can_be_known() {
        let mut counts = counts();
        assert_eq!(counts.model_left(0), None);
        counts.steps[1].n_rows = None;
        let tokens = Tokens { n_answers: 1, n_output: 5, ..Tokens::default() };
        for second in 1..3 {
            counts.take(&Event::Answered { model: "m", tokens }, Duration::from_secs(second));
        }
        assert_eq!(counts.model_left(0), None);
        assert!(counts.step_left(&counts.steps[0]).is_some());
    }
}
