//! One call to the server: a path and a body into an answer or a refusal.
//!
//! What may pass is asked again; what a refusal means is told here where it means the same for every
//! call, and left to the caller where it does not. The key goes to the address that was named and
//! to no other: a redirection is not followed.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::http::{Response, header};
use ureq::{Agent, Body};

use super::ArgillaServer;
use crate::web::{Failure, N_SAYS_MAX, agent, body_text, failed_call, is_passing, patiently, told};
use crate::{Error, Result};

/// Most bytes of an answer: a thousand long records.
const ANSWER_BYTES_MAX: u64 = 512 << 20;

/// Most characters of an error, what the server says included.
const N_ERROR_MAX: usize = 1000;

/// The oldest server that is spoken to: with it came the settings of a data set that are sent here.
const VERSION_MIN: (u64, u64) = (2, 1);

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
}

/// The server understood, and says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// Its reason.
    pub(super) says: String,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Me {
    pub(super) username: String,
    /// `owner`, `admin` or `annotator`.
    pub(super) role: String,
}

/// A list, as the server wraps it.
#[derive(Debug, Deserialize)]
pub(super) struct Listed<T> {
    pub(super) items: Vec<T>,
}

/// Speaks with one server.
pub(crate) struct Client {
    agent: Agent,
    server: ArgillaServer,
}

impl Client {
    /// A client for `server`, whose version is looked at.
    ///
    /// # Errors
    /// [`Error::Remote`] when it cannot be reached, is none, or is too old.
    pub(crate) fn new(server: ArgillaServer) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            version: String,
        }
        let client = Self { agent: agent(&server.url, &server.patience), server };
        let (major, minor) = VERSION_MIN;
        let found: Version = match client.call(Verb::Get, "version", None)? {
            Ok(text) => client.parse("version", &text)?,
            Err(refusal) if refusal.status == 404 => {
                let at = &client.server.url;
                let what = format!("there is no Argilla {major}.{minor} or later at {at}");
                let hint = "check the address; a private Space also wants HF_TOKEN";
                return Err(client.remote(&what, hint));
            }
            Err(refusal) => return Err(client.refused("version", &refusal)),
        };
        let mut numbers = found.version.split('.').map(|number| number.parse().unwrap_or(0_u64));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if version < VERSION_MIN {
            let at = &client.server.url;
            let what = format!(
                "the Argilla at {at} is version {}, and {major}.{minor} or later is needed",
                found.version
            );
            return Err(client.remote(&what, "update the server"));
        }
        Ok(client)
    }

    /// The server's address.
    pub(super) fn url(&self) -> &str {
        &self.server.url
    }

    /// Who asks.
    pub(super) fn me(&self) -> Result<Me> {
        self.get("me")
    }

    /// What stands at `path`.
    ///
    /// # Errors
    /// [`Error::Remote`] when it is refused or makes no sense.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        match self.call(Verb::Get, path, None)? {
            Ok(text) => self.parse(path, &text),
            Err(refusal) => Err(self.refused(path, &refusal)),
        }
    }

    /// Reads an answer.
    pub(super) fn parse<T: DeserializeOwned>(&self, path: &str, text: &str) -> Result<T> {
        serde_json::from_str(text).map_err(|e| {
            let what = format!("the answer of {} to {path} makes no sense: {e}", self.server.url);
            self.remote(&what, "is this the address of an Argilla server, and not of its page?")
        })
    }

    /// Calls `path` below `/api/v1`, again while that may help.
    ///
    /// # Errors
    /// [`Error::Remote`] when the server cannot be reached or stays unwell.
    pub(super) fn call(
        &self,
        verb: Verb,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Result<String, Refusal>> {
        let give_up = |why: String| {
            let n = self.server.patience.n_attempts;
            let what = format!("Argilla at {} gave no answer in {n} attempts: {why}", self.url());
            let hint = "what was sent is kept there; the same command goes on, and doubles nothing";
            self.remote(&what, hint)
        };
        let mut ask = || (false, self.once(verb, path, body));
        patiently(&self.server.patience, &mut ask, give_up)
    }

    fn once(
        &self,
        verb: Verb,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Result<String, Refusal>, Failure> {
        let mut response = self.send(verb, path, body).map_err(failed_call)?;
        let status = response.status();
        if let Some(passing) = is_passing(&response, path) {
            return Err(passing);
        }
        if status.is_redirection() {
            let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
            let to = to.unwrap_or("another address");
            let what = format!("{} sends us on to {to}", self.server.url);
            let hint = "name that address yourself: a key is not sent where nobody meant it to go";
            return Err(Failure::Final(self.remote(&what, hint)));
        }
        let text = body_text(&mut response, ANSWER_BYTES_MAX)?;
        if status.is_success() {
            return Ok(Ok(text));
        }
        Ok(Err(Refusal { status: status.as_u16(), says: self.shown(&said(&text), N_SAYS_MAX) }))
    }

    fn send(
        &self,
        verb: Verb,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Response<Body>, ureq::Error> {
        let url = format!("{}/api/v1/{path}", self.server.url);
        let silence = Some(self.server.patience.silence);
        let ArgillaServer { api_key, hf_token, .. } = &self.server;
        let key = api_key.0.as_str();
        let bearer = hf_token.as_ref().map(|token| format!("Bearer {}", token.0));
        let bearer = bearer.as_deref().map(|bearer| (header::AUTHORIZATION, bearer));
        let request = match verb {
            Verb::Get => {
                let mut request = self.agent.get(&url).header(KEY_HEADER, key);
                if let Some((name, value)) = bearer {
                    request = request.header(name, value);
                }
                let request = request.config().max_redirects(0).max_redirects_will_error(false);
                return request.build().call();
            }
            Verb::Post => self.agent.post(&url),
            Verb::Put => self.agent.put(&url),
        };
        let mut request = request.header(KEY_HEADER, key).content_type("application/json");
        if let Some((name, value)) = bearer {
            request = request.header(name, value);
        }
        let request = request.config().max_redirects(0).max_redirects_will_error(false);
        request.timeout_send_body(silence).build().send(body.unwrap_or_default())
    }

    /// What a refusal of `path` means for the user.
    pub(super) fn refused(&self, path: &str, refusal: &Refusal) -> Error {
        let Refusal { status, says } = refusal;
        let at = &self.server.url;
        let hint = match status {
            401 => "ARGILLA_API_KEY is no key of this server: copy it from your settings there",
            403 => {
                "the key's user may not do this: data sets and records are an owner's, or an \
                 admin's who is a member of the workspace"
            }
            404 => "it was there a moment ago: was it deleted meanwhile? run the command again",
            409 => "somebody else made it at the same time: run the command again",
            _ => "look at the server's log",
        };
        self.remote(&format!("Argilla at {at} refuses {path} with status {status}: {says}"), hint)
    }

    /// The error of a call to this server: what it repeats of our secrets is taken out.
    pub(super) fn remote(&self, what: &str, hint: &str) -> Error {
        let hint = self.shown(hint, N_ERROR_MAX);
        Error::Remote { what: self.shown(what, N_ERROR_MAX), hint, source: None }
    }

    /// A text as it may be shown.
    fn shown(&self, text: &str, n_max: usize) -> String {
        let ArgillaServer { api_key, hf_token, .. } = &self.server;
        let secrets = [Some(api_key), hf_token.as_ref()].into_iter().flatten();
        told(text, secrets.map(|secret| secret.0.as_str()), n_max)
    }
}

const KEY_HEADER: &str = "X-Argilla-Api-Key";

/// The reason in the body of a refusal: `detail`, a text or a list of places with messages. The
/// values that the server repeats there are left out: they are whole records.
fn said(body: &str) -> String {
    let Ok(body) = serde_json::from_str::<serde_json::Value>(body) else {
        return body.lines().next().unwrap_or_default().to_owned();
    };
    let detail = &body["detail"];
    let errors = detail["params"]["errors"].as_array().or(detail.as_array());
    if let Some(errors) = errors {
        let one = |error: &serde_json::Value| {
            let word = |word: &serde_json::Value| match word.as_str() {
                Some(text) => text.to_owned(),
                None => word.to_string(),
            };
            let place = error["loc"].as_array().into_iter().flatten().map(word);
            let place = place.collect::<Vec<_>>().join(".");
            format!("{place}: {}", error["msg"].as_str().unwrap_or_default())
        };
        return errors.iter().take(3).map(one).collect::<Vec<_>>().join("; ");
    }
    let text = detail.as_str().or(detail["params"]["detail"].as_str()).or(body["message"].as_str());
    text.map_or_else(|| detail.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::ArgillaAccess;
    use super::*;

    #[test]
    fn a_refusal_tells_its_reason_and_no_record() {
        assert_eq!(
            said(r#"{"detail":"Could not validate credentials"}"#),
            "Could not validate credentials"
        );
        let refused = r#"{"detail":{"code":"argilla.api.errors::ValidationError","params":{"errors":
            [{"type":"x","loc":["body","items",3,"suggestions",0,"agent"],"msg":"no","input":"TEXT"}]}}}"#;
        assert_eq!(said(refused), "body.items.3.suggestions.0.agent: no");
        let forbidden = r#"{"detail":{"code":"argilla.api.errors::ForbiddenOperationError","params":{"detail":"Operation not allowed"}}}"#;
        assert_eq!(said(forbidden), "Operation not allowed");
        assert_eq!(said("<html>\nwhole page"), "<html>");
    }

    #[test]
    fn a_secret_is_taken_out_before_a_text_is_shortened() {
        let env = |name: &str| (name == "ARGILLA_API_KEY").then(|| "the-secret".to_owned());
        let access = ArgillaAccess::read(&env, Some("http://127.0.0.1:9".to_owned()), false);
        let server = access.server(None).unwrap();
        let client = Client { agent: agent(&server.url, &server.patience), server };
        // The cut goes through the key.
        let before = "é".repeat(N_SAYS_MAX - 4);
        let shown = client.shown(&format!("{before}the-secret and more"), N_SAYS_MAX);
        assert_eq!(shown, format!("{before}*** ..."));
        let error = client.remote(&"the-secret".repeat(500), "the-secret");
        let what = error.to_string();
        assert_eq!((what.chars().count(), error.hint()), (N_ERROR_MAX + 3, Some("***")));
        assert!(!what.contains("secret"), "{what}");
        let strange = client.parse::<u64>("path", r#"{"the-secret": 1}"#).unwrap_err();
        let stranger = client.parse::<u64>("path", r#""the-secret""#).unwrap_err();
        assert!(!format!("{strange}{stranger}").contains("the-secret"), "{stranger}");
    }
}
