//! Requests to the Hub in somebody's name: where the token goes, and what a refusal means.
//!
//! The token goes to the endpoint and nowhere else, and no message shows it, whatever a server
//! says. It must not know in which order things are asked.

use serde_json::Value;
use ureq::http::{Response, header};
use ureq::typestate::WithBody;
use ureq::{Agent, Body, RequestBuilder};

use crate::hub::HubOptions;
use crate::web::{Failure, N_SAYS_MAX, agent, body_text, failed_call, is_passing, patiently, told};
use crate::{Error, Result};

/// Where tokens are made.
pub(super) const TOKENS: &str = "https://huggingface.co/settings/tokens";

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Times the usual silence that the answer to a post is waited for: to put a large file together,
/// or to make a commit of many, is work.
const POST_SILENCES: u32 = 4;

/// Most bytes of an explanation.
const SAYS_BYTES_MAX: u64 = 64 << 10;

/// Speaks with the Hub about one data set repository.
pub(super) struct Client<'a> {
    agent: Agent,
    pub(super) options: &'a HubOptions,
    token: &'a str,
    /// `owner/name`.
    pub(super) repo: String,
}

/// An answer that may be a refusal.
pub(super) type Answer = Response<Body>;

impl<'a> Client<'a> {
    pub(super) fn new(options: &'a HubOptions, token: &'a str, repo: &str) -> Self {
        let agent = agent(&options.endpoint, &options.patience);
        Self { agent, options, token, repo: repo.to_owned() }
    }

    /// Asks again while that may help; `what` goes after "cannot".
    pub(super) fn ask<T>(
        &self,
        what: &str,
        mut ask: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T> {
        let give_up = |why: String| self.gave_up(what, &why);
        patiently(&self.options.patience, || (false, ask()), give_up)
    }

    /// The error of a leg that was tried often enough; `what` goes after "cannot".
    pub(super) fn gave_up(&self, what: &str, why: &str) -> Error {
        Error::Remote {
            what: format!("cannot {what} at {}: {}", self.options.endpoint, self.told(why)),
            hint: "check the network and push again: what has been uploaded is not sent again"
                .into(),
            source: None,
        }
    }

    /// The address of the repository's `path` in the API: `/api/datasets/owner/name/PATH`.
    pub(super) fn api(&self, path: &str) -> String {
        format!("{}/api/datasets/{}/{path}", self.options.endpoint, self.repo)
    }

    /// The page of the repository.
    pub(super) fn page(&self) -> String {
        format!("{}/datasets/{}", self.options.endpoint, self.repo)
    }

    /// Whether an address is the Hub's, so that the token may go there.
    pub(super) fn is_hub(&self, url: &str) -> bool {
        url.strip_prefix(self.options.endpoint.as_str()).is_some_and(|path| path.starts_with('/'))
    }

    /// Gets from the Hub.
    pub(super) fn get(&self, url: &str) -> Result<Answer, Failure> {
        debug_assert!(self.is_hub(url), "the token goes to the Hub only");
        let request = self.agent.get(url).header(header::AUTHORIZATION, self.bearer());
        request.call().map_err(failed_call)
    }

    /// Posts to the Hub.
    pub(super) fn post(&self, url: &str, kind: &str, body: &[u8]) -> Result<Answer, Failure> {
        debug_assert!(self.is_hub(url), "the token goes to the Hub only");
        let request = self.post_to(&self.agent, url, kind);
        let request = request.header(header::AUTHORIZATION, self.bearer());
        let lfs = kind.starts_with("application/vnd.git-lfs");
        let request = if lfs { request.header(header::ACCEPT, kind) } else { request };
        request.send(body).map_err(failed_call)
    }

    /// A post to anybody, without the token.
    pub(super) fn post_to(&self, agent: &Agent, url: &str, kind: &str) -> RequestBuilder<WithBody> {
        let request = agent.post(url).config().max_redirects(0).max_redirects_will_error(false);
        let silence = self.options.patience.silence * POST_SILENCES;
        let request =
            request.timeout_recv_response(Some(silence)).timeout_per_read(Some(silence)).build();
        request.header(header::CONTENT_TYPE, kind)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// The JSON of a good answer; `wanted` is what was asked for.
    pub(super) fn json(&self, mut answer: Answer, wanted: &str) -> Result<Value, Failure> {
        if !answer.status().is_success() {
            return Err(self.refused(answer, wanted));
        }
        let text = body_text(&mut answer, ANSWER_BYTES_MAX)?;
        serde_json::from_str(&text)
            .map_err(|e| self.strange(&format!("{wanted} that is no JSON: {e}")))
    }

    /// What a refusal means for the user.
    pub(super) fn refused(&self, mut answer: Answer, wanted: &str) -> Failure {
        if let Some(passing) = is_passing(&answer, wanted) {
            return passing;
        }
        let status = answer.status().as_u16();
        let says = self.says(&mut answer);
        let (repo, page) = (&self.repo, self.page());
        let hint = match status {
            401 => format!(
                "the token is not valid: make one that may write at {TOKENS} and set HF_TOKEN to it"
            ),
            402 => format!("look at the plan of the owner of {page}"),
            403 => format!(
                "use a token (HF_TOKEN) that may write to {repo}: make one at {TOKENS}, or choose \
                 a repository of your own"
            ),
            404 => format!("check the name and the branch at {page}"),
            409 => format!("something else is changing {page}: push again"),
            413 => "the Hub finds it too large; the run's `dataset` folder can be pushed in parts \
                    by the Hub's own client"
                .to_owned(),
            300..=399 => format!("the repository has moved: look at {page}, push to its new name"),
            _ => format!("look at {page}"),
        };
        let says = if says.is_empty() { says } else { format!(": {says}") };
        let what = format!("the Hub refuses {wanted} of {repo} with status {status}{says}");
        Failure::Final(Error::Remote { what, hint, source: None })
    }

    /// What a refusal says in words; empty where it says nothing.
    pub(super) fn says(&self, answer: &mut Answer) -> String {
        let header = answer.headers().get("x-error-message").and_then(|v| v.to_str().ok());
        let header = header.map(str::to_owned);
        let text = || {
            let text = body_text(answer, SAYS_BYTES_MAX).ok()?;
            let body: Value = serde_json::from_str(&text).ok()?;
            ["error", "message"].iter().find_map(|key| body[key].as_str().map(str::to_owned))
        };
        self.told(&header.or_else(text).unwrap_or_default())
    }

    /// A server's words as they may be shown: in one line, of some length, without the token.
    pub(super) fn told(&self, words: &str) -> String {
        told(words, [self.token], N_SAYS_MAX)
    }

    /// The error of an answer that cannot be the Hub's.
    pub(super) fn strange(&self, what: &str) -> Failure {
        let (repo, endpoint) = (&self.repo, &self.options.endpoint);
        Failure::Final(Error::Remote {
            what: format!("the Hub's answer for {repo} makes no sense: {}", self.told(what)),
            hint: format!("is {endpoint} the Hub or a mirror of it that takes pushes?"),
            source: None,
        })
    }
}
