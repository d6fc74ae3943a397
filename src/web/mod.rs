//! HTTP as every remote place here is spoken to: with limits, and again while that may help.
//!
//! A blocking client: a transfer is one stream of bytes, a push is one request after another, and
//! what may overlap is left to threads. It must not know whom it speaks to: paths, credentials and
//! what a refusal means are the business of the rooms above.

#[cfg(feature = "hub")]
mod request;
#[cfg(feature = "hub")]
mod retry;

use std::time::Duration;

#[cfg(feature = "hub")]
pub(crate) use request::{N_SAYS_MAX, agent, body_text, failed_call, is_passing, told};
#[cfg(feature = "hub")]
pub(crate) use retry::{Failure, patiently};

/// How long a remote place is waited for, and how often it is asked again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// Longest silence of a server.
    pub silence: Duration,
    /// Attempts in a row that bring nothing before it is given up.
    pub n_attempts: u32,
    /// Pause after the first of them; doubled after each of the others. A server that says how
    /// long it wants to be left alone is heard instead, up to a minute.
    pub pause: Duration,
}

impl Default for Patience {
    /// Half a minute of silence, five attempts, half a second.
    fn default() -> Self {
        Self { silence: Duration::from_secs(30), n_attempts: 5, pause: Duration::from_millis(500) }
    }
}
