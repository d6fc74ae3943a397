//! Asking again: which failures pass, and how long to wait.

use std::time::Duration;

use super::Patience;
use crate::{Error, Result};

/// Longest pause that a server can ask for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Why a request brought nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Asking again will not help.
    Final(Error),
    /// It may.
    Passing(Passing),
}

/// A failure that may pass.
#[derive(Debug)]
pub(crate) struct Passing {
    /// What was seen.
    pub(crate) why: String,
    /// How long the server wants to be left alone, if it says so.
    pub(crate) wait: Option<Duration>,
}

impl Failure {
    /// A failure that may pass.
    pub(crate) fn passing(why: impl Into<String>) -> Self {
        Self::Passing(Passing { why: why.into(), wait: None })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// Asks again while that may help: a failure that follows progress begins the count anew. `give_up`
/// makes the error of what was seen last.
///
/// # Errors
/// What `ask` says is final, or that of `give_up` after [`Patience::n_attempts`].
pub(crate) fn patiently<T>(
    patience: &Patience,
    mut ask: impl FnMut() -> (bool, Result<T, Failure>),
    give_up: impl FnOnce(String) -> Error,
) -> Result<T> {
    let mut n_failed = 0;
    loop {
        let (progressed, result) = ask();
        n_failed = if progressed { 0 } else { n_failed };
        match result {
            Ok(value) => return Ok(value),
            Err(Failure::Final(e)) => return Err(e),
            Err(Failure::Passing(Passing { why, wait })) => {
                n_failed += 1;
                if n_failed >= patience.n_attempts {
                    return Err(give_up(why));
                }
                let own = patience.pause * 2_u32.saturating_pow(n_failed - 1);
                std::thread::sleep(wait.map_or(own, |wait| wait.min(PAUSE_MAX)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(script: &[(bool, bool)], want: Result<usize, usize>) {
        let patience =
            Patience { silence: Duration::ZERO, n_attempts: 3, pause: Duration::from_micros(1) };
        let mut n_asked = 0;
        let ask = || {
            let (progressed, is_fine) = script[n_asked];
            n_asked += 1;
            (progressed, if is_fine { Ok(()) } else { Err(Failure::passing("busy")) })
        };
        let give_up = |why: String| Error::Remote { what: why, hint: String::new(), source: None };
        let found = patiently(&patience, ask, give_up);
        let found = found.map(|()| n_asked).map_err(|_| n_asked);
        assert_eq!(found, want);
    }

    #[test]
    fn failures_in_a_row_are_counted_and_progress_forgives_them() {
        check(&[(false, true)], Ok(1));
        check(&[(false, false), (false, false), (false, true)], Ok(3));
        check(&[(false, false), (false, false), (false, false)], Err(3));
        check(
            &[(false, false), (false, false), (true, false), (false, false), (true, true)],
            Ok(5),
        );
    }

    #[test]
    fn what_is_final_is_not_asked_again() {
        let mut n_asked = 0;
        let found: Result<()> = patiently(
            &Patience::default(),
            || {
                n_asked += 1;
                let error = Error::environment("no", "none");
                (false, Err(error.into()))
            },
            |_| unreachable!("it never gave up"),
        );
        assert!(found.is_err() && n_asked == 1);
    }
}
