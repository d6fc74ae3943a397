//! The client and the few things that every answer is asked.

use std::time::Duration;

use ureq::config::RedirectAuthHeaders;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::Patience;
use super::retry::{Failure, Passing};
use crate::Error;

/// Most letters of a server's own words that are shown.
pub(crate) const N_SAYS_MAX: usize = 400;

/// Shortest secret that is looked for in texts.
const N_SECRET_MIN: usize = 6;

/// A client for the place at `endpoint`.
///
/// A status is no error of its own, a token goes to no other host, and bytes come as they are: sizes
/// and ranges count those of a file, not those of its compression.
pub(crate) fn agent(endpoint: &str, patience: &Patience) -> Agent {
    let silence = Some(patience.silence);
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .redirect_auth_headers(RedirectAuthHeaders::SameHost)
        .user_agent(concat!("stillroom/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_resolve(silence)
        .timeout_connect(silence)
        .timeout_recv_response(silence)
        .timeout_per_read(silence)
        .timeout_per_write(silence);
    // A proxy cannot reach what is near only to us.
    let config = if is_near(endpoint) { config.proxy(None) } else { config };
    config.build().new_agent()
}

/// Whether an address is on this machine.
fn is_near(endpoint: &str) -> bool {
    let host = endpoint.split("://").nth(1).unwrap_or("");
    ["127.0.0.1", "localhost", "[::1]"].iter().any(|near| host.starts_with(near))
}

/// The failure of a request that got no answer.
pub(crate) fn failed_call(e: ureq::Error) -> Failure {
    use ureq::Error::{BadUri, BodyExceedsLimit, Http, InvalidProxyUrl, TooManyRedirects};
    let is_final =
        matches!(e, BadUri(_) | BodyExceedsLimit(_) | Http(_) | InvalidProxyUrl | TooManyRedirects);
    if !is_final {
        return Failure::passing(e.to_string());
    }
    Failure::Final(Error::Remote {
        what: format!("a request cannot be made or its answer not be taken: {e}"),
        hint: "check the address, the proxy and the token: a token is plain letters in one line"
            .to_owned(),
        source: None,
    })
}

/// A server's words as they may be shown: in one line, of at most `n_max` letters, without secrets.
/// Those go first: of one that was cut in two, the first half would be found no more. A secret of a
/// few letters stays: it is in ordinary words, and nobody could take it from there.
pub(crate) fn told<'s>(
    words: &str,
    secrets: impl IntoIterator<Item = &'s str>,
    n_max: usize,
) -> String {
    let secrets = secrets.into_iter().filter(|secret| secret.len() >= N_SECRET_MIN);
    let words = secrets.fold(words.to_owned(), |words, secret| words.replace(secret, "***"));
    let mut letters = words.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut told: String = letters.by_ref().take(n_max).collect();
    if letters.next().is_some() {
        told.push_str("...");
    }
    told
}

/// Whether a status may be another one soon; `wanted` is what was asked for.
pub(crate) fn is_passing(response: &Response<Body>, wanted: &str) -> Option<Failure> {
    let status = response.status();
    let may_pass = status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    may_pass.then(|| {
        let says = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok());
        let wait = says.and_then(|says| says.trim().parse().ok()).map(Duration::from_secs);
        Failure::Passing(Passing { why: format!("status {} for {wanted}", status.as_u16()), wait })
    })
}

/// The text of an answer, of at most `n_bytes_max`.
pub(crate) fn body_text(
    response: &mut Response<Body>,
    n_bytes_max: u64,
) -> Result<String, Failure> {
    let text = response.body_mut().with_config().limit(n_bytes_max).read_to_string();
    text.map_err(failed_call)
}
