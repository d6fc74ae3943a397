//! What `events.jsonl` tells: how often the command ran, for how long, and what models did.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::share::rounded;
use crate::Result;
use crate::data::journal;

/// The runs of the command in this folder, all of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct History {
    /// How often it was started.
    pub n_started: u64,
    /// How often it came to its end.
    pub n_finished: u64,
    /// When it was started last, in seconds since 1970.
    pub last_started: Option<f64>,
    /// Whether it came to its end then.
    pub is_finished: bool,
    /// Why it stopped, where it could still say so.
    pub stopped: Option<String>,
    /// Most root rows of each loader, where it was limited.
    pub limit: Option<u64>,
    /// Wall-clock time of all runs that could still say when they ended, in seconds.
    pub seconds: f64,
    /// The version that ran last.
    pub version: Option<String>,
}

/// What a model did in all runs, by the clock; rows that were made anew since are in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Work {
    /// Answers.
    pub n_answers: u64,
    /// Tokens of prompts.
    pub n_input: u64,
    /// Those of them that the prefix cache held.
    pub n_cached: u64,
    /// Tokens of answers.
    pub n_output: u64,
    /// Seconds in which the model computed, its loading left out.
    pub busy_seconds: Option<f64>,
    /// Seconds of reading weights.
    pub load_seconds: Option<f64>,
    /// Tokens of answers by busy seconds.
    pub tokens_per_second: Option<f64>,
    /// Share of the prompts' tokens that the prefix cache held.
    pub hit_rate: Option<f64>,
    /// Sequences in a forward, on average.
    pub mean_batch: Option<f64>,
    /// Sequences that had to give up their memory for a while.
    pub n_preempted: Option<u64>,
}

/// Sums of one model's events.
#[derive(Debug, Default)]
struct Sums {
    work: Work,
    n_steps: u64,
    n_sequence_steps: u64,
}

/// Reads the file; one that is missing tells nothing.
pub(super) fn read(path: &Path) -> Result<(History, BTreeMap<String, Work>)> {
    let mut history = History::default();
    let mut used: BTreeMap<String, Sums> = BTreeMap::new();
    let mut of_summaries: BTreeMap<String, Sums> = BTreeMap::new();
    for event in journal::read_as::<Value>(path)? {
        let event = event?.1;
        history.take(&event);
        let model = event["model"].as_str();
        match (event["event"].as_str(), model) {
            (Some("used"), Some(model)) => used.entry(model.to_owned()).or_default().take(&event),
            (Some("loaded"), Some(model)) => {
                let seconds = &mut used.entry(model.to_owned()).or_default().work.load_seconds;
                *seconds = add(*seconds, event["seconds"].as_f64());
            }
            (Some("finished"), _) => {
                for (model, tokens) in event["tokens"].as_object().into_iter().flatten() {
                    of_summaries.entry(model.clone()).or_default().add_tokens(tokens);
                }
            }
            (Some(_) | None, _) => {}
        }
    }
    for (model, summary) in of_summaries {
        let sums = used.entry(model).or_default();
        // Runs of older versions told their tokens at the end only, and no busy seconds.
        if sums.work.busy_seconds.is_none() {
            sums.work = Work { load_seconds: sums.work.load_seconds, ..summary.work };
        }
    }
    Ok((history, used.into_iter().map(|(model, sums)| (model, sums.work())).collect()))
}

impl History {
    fn take(&mut self, event: &Value) {
        let time = event["time"].as_f64();
        match event["event"].as_str() {
            Some("started") => {
                self.n_started += 1;
                self.last_started = time;
                self.is_finished = false;
                self.stopped = None;
                self.limit = event["limit"].as_u64();
                self.version = event["version"].as_str().map(str::to_owned);
            }
            Some("finished") => {
                self.n_finished += 1;
                self.is_finished = true;
                self.ended(time);
            }
            Some("stopped") => {
                self.stopped = event["reason"].as_str().map(str::to_owned);
                self.ended(time);
            }
            Some(_) | None => {}
        }
    }

    fn ended(&mut self, time: Option<f64>) {
        if let (Some(started), Some(ended)) = (self.last_started, time) {
            self.seconds = rounded(self.seconds + (ended - started).max(0.0));
        }
    }
}

impl Sums {
    fn take(&mut self, event: &Value) {
        self.add_tokens(&event["tokens"]);
        self.work.busy_seconds = add(self.work.busy_seconds, event["seconds"].as_f64());
        let engine = &event["engine"];
        self.n_steps += engine["n_steps"].as_u64().unwrap_or(0);
        self.n_sequence_steps += engine["n_sequence_steps"].as_u64().unwrap_or(0);
        if let Some(n) = engine["n_preemptions"].as_u64() {
            *self.work.n_preempted.get_or_insert(0) += n;
        }
    }

    fn add_tokens(&mut self, tokens: &Value) {
        let n = |name: &str| tokens[name].as_u64().unwrap_or(0);
        self.work.n_answers += n("n_answers");
        self.work.n_input += n("n_input");
        self.work.n_cached += n("n_cached");
        self.work.n_output += n("n_output");
    }

    fn work(self) -> Work {
        let ratio = |part: u64, whole: f64| (whole > 0.0).then(|| rounded(part as f64 / whole));
        let work = self.work;
        Work {
            tokens_per_second: work.busy_seconds.and_then(|busy| ratio(work.n_output, busy)),
            hit_rate: ratio(work.n_cached, work.n_input as f64),
            mean_batch: ratio(self.n_sequence_steps, self.n_steps as f64),
            busy_seconds: work.busy_seconds.map(rounded),
            load_seconds: work.load_seconds.map(rounded),
            ..work
        }
    }
}

fn add(sum: Option<f64>, more: Option<f64>) -> Option<f64> {
    more.map_or(sum, |more| Some(sum.unwrap_or(0.0) + more))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_events(events: &[Value]) -> (History, BTreeMap<String, Work>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let text: String = events.iter().map(|event| format!("{event}\n")).collect();
        std::fs::write(&path, text + "{\"torn").unwrap();
        read(&path).unwrap()
    }

    #[test]
    fn two_runs_and_one_that_was_killed() {
        let tokens = |n: u64| json!({"n_answers": n, "n_input": 10, "n_cached": 4, "n_output": 20});
        let engine = json!({"n_steps": 5, "n_sequence_steps": 20, "n_preemptions": 1});
        let used = |n: u64| {
            json!({"time": 13.0, "event": "used", "model": "a", "seconds": 2.0,
            "tokens": tokens(n), "engine": engine})
        };
        let (history, work) = read_events(&[
            json!({"time": 10.0, "event": "started", "limit": null, "version": "0.1.0"}),
            json!({"time": 11.0, "event": "loaded", "model": "a", "seconds": 0.5}),
            used(2),
            json!({"time": 14.0, "event": "stopped", "reason": "interrupted"}),
            json!({"time": 20.0, "event": "started"}),
            json!({"time": 30.0, "event": "started"}),
            used(1),
            json!({"time": 33.0, "event": "finished", "tokens": {"a": tokens(1)}}),
        ]);
        assert_eq!((history.n_started, history.n_finished, history.seconds), (3, 1, 7.0));
        assert!(history.is_finished && history.stopped.is_none());
        let a = work["a"];
        assert_eq!((a.n_answers, a.n_output, a.busy_seconds), (3, 40, Some(4.0)));
        assert_eq!(
            (a.tokens_per_second, a.hit_rate, a.mean_batch),
            (Some(10.0), Some(0.4), Some(4.0))
        );
        assert_eq!((a.n_preempted, a.load_seconds), (Some(2), Some(0.5)));
    }

    #[test]
    fn a_folder_of_an_older_version_has_tokens_but_no_speed() {
        let tokens = json!({"n_answers": 1, "n_input": 8, "n_cached": 2, "n_output": 3});
        let (history, work) = read_events(&[
            json!({"time": 1.0, "event": "started"}),
            json!({"time": 2.0, "event": "finished", "tokens": {"a": tokens}}),
        ]);
        assert!(history.is_finished);
        assert_eq!((work["a"].hit_rate, work["a"].tokens_per_second), (Some(0.25), None));
        let (none, _) = read_events(&[]);
        assert_eq!(none, History::default());
    }
}
