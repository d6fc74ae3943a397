//! Files on their way from the Hub: plain lines on stderr, since they come before the bars.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::super::models::bytes;
use super::super::screen::Screen;
use crate::hub::Progress;

/// Between two lines about one file.
const EVERY: Duration = Duration::from_secs(3);

/// Shows how far files are; silent if `is_quiet`.
pub(in crate::cli) fn fetching(screen: Screen, is_quiet: bool) -> impl FnMut(&Progress<'_>) {
    let mut told: HashMap<String, Instant> = HashMap::new();
    move |progress| {
        let last = told.get(progress.file);
        let is_due = last.is_none_or(|last| last.elapsed() >= EVERY);
        if !is_quiet && (is_due || progress.n_done == progress.n_total) {
            told.insert(progress.file.to_owned(), Instant::now());
            screen.tell(&line(progress));
        }
    }
}

fn line(progress: &Progress<'_>) -> String {
    let (done, total) = (bytes(progress.n_done), bytes(progress.n_total));
    let percent = 100 * progress.n_done / progress.n_total.max(1);
    format!("fetching {}: {done} of {total}, {percent} %", progress.file)
}
