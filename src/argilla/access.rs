//! Where Argilla is and who asks: the only place of this room that reads the environment.
//!
//! Credentials come from nowhere else, and are shown by nothing: neither `Debug` nor an error has
//! them.

use std::fmt;
use std::time::Duration;

use crate::web::Patience;
use crate::{Error, Result};

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What the environment and the command line say about Argilla.
#[derive(Debug, Clone)]
pub struct ArgillaAccess {
    /// The command line's address, which comes before any other.
    pub url: Option<String>,
    /// `ARGILLA_API_URL`.
    url_of_env: Option<String>,
    /// `ARGILLA_API_KEY`.
    api_key: Option<Secret>,
    /// `HF_TOKEN`, for a private Space that holds the server.
    hf_token: Option<Secret>,
    /// Open no socket.
    pub offline: bool,
    /// How long the server is waited for.
    pub patience: Patience,
}

/// An Argilla server, and the key to it.
#[derive(Debug, Clone)]
pub struct ArgillaServer {
    /// Its address, without a slash at the end.
    pub url: String,
    pub(super) api_key: Secret,
    pub(super) hf_token: Option<Secret>,
    pub(super) patience: Patience,
}

impl ArgillaAccess {
    /// What the environment says.
    pub fn from_env(url: Option<String>, offline: bool) -> Self {
        Self::read(&|name| std::env::var(name).ok(), url, offline)
    }

    /// What `env` says.
    pub fn read(env: &dyn Fn(&str) -> Option<String>, url: Option<String>, offline: bool) -> Self {
        let get = |name: &str| {
            let value = env(name).map(|value| value.trim().to_owned());
            value.filter(|value| !value.is_empty())
        };
        Self {
            url,
            url_of_env: get("ARGILLA_API_URL"),
            api_key: get("ARGILLA_API_KEY").map(Secret),
            hf_token: get("HF_TOKEN").map(Secret),
            offline,
            // A batch of long records takes a server with a slow disk a while.
            patience: Patience { silence: Duration::from_secs(120), ..Patience::default() },
        }
    }

    /// The address that counts: the command line's, the recipe's, the environment's.
    pub fn address(&self, of_recipe: Option<&str>) -> Option<String> {
        let own = self.url.as_deref().or(of_recipe).or(self.url_of_env.as_deref());
        own.map(trimmed)
    }

    /// The server to speak to.
    ///
    /// # Errors
    /// [`Error::Usage`] when the address or the key is missing or makes no sense, when recipe and
    /// environment name two servers, or when no connection may be opened.
    pub fn server(&self, of_recipe: Option<&str>) -> Result<ArgillaServer> {
        let url = self.address(of_recipe).ok_or_else(|| {
            let hint = "name it with --url, `api_url` in the recipe, or ARGILLA_API_URL";
            usage("the address of Argilla is not known".to_owned(), hint)
        })?;
        if let Some(fault) = address_fault(&url) {
            // The address itself stays untold: it may hold what must not be.
            return Err(usage(format!("Argilla's address {fault}"), ADDRESS_HINT));
        }
        self.agree(of_recipe)?;
        if self.offline {
            let hint =
                "leave --offline out; `push argilla --dry-run` looks at the rows and sends nothing";
            return Err(usage(format!("Argilla at {url} is not to be had with --offline"), hint));
        }
        let api_key = self.api_key.clone().ok_or_else(|| {
            let hint = "set ARGILLA_API_KEY to the key that Argilla shows under your settings";
            usage(format!("there is no key for Argilla at {url}"), hint)
        })?;
        // Whoever else runs a server has no business with a token of the Hub, and a recipe that
        // names one may be a stranger's.
        let is_own = self.own_address().is_some_and(|own| own == url);
        let hf_token = self.hf_token.clone().filter(|_| is_own && is_space(&url));
        for (name, secret) in [("ARGILLA_API_KEY", Some(&api_key)), ("HF_TOKEN", hf_token.as_ref())]
        {
            if secret.is_some_and(|secret| !fits_a_header(&secret.0)) {
                let hint = "copy it again: a key is letters, digits and signs of ASCII on one line";
                return Err(usage(format!("{name} holds what no request can carry"), hint));
            }
        }
        Ok(ArgillaServer { url, api_key, hf_token, patience: self.patience.clone() })
    }

    /// The address that the user named: on the command line, else in the environment.
    fn own_address(&self) -> Option<String> {
        self.url.as_deref().or(self.url_of_env.as_deref()).map(trimmed)
    }

    /// That a recipe, which may be anybody's, sends the key nowhere else than the environment says.
    fn agree(&self, of_recipe: Option<&str>) -> Result<()> {
        let (None, Some(recipe), Some(env)) = (&self.url, of_recipe, self.url_of_env.as_deref())
        else {
            return Ok(());
        };
        let (recipe, env) = (trimmed(recipe), trimmed(env));
        if let Some(fault) = address_fault(&env) {
            return Err(usage(format!("ARGILLA_API_URL {fault}"), ADDRESS_HINT));
        }
        if recipe == env {
            return Ok(());
        }
        let hint = "the key goes to a recipe's address only where ARGILLA_API_URL names no other: \
                    let both say the same, or choose with --url on `push argilla` or `pull argilla`";
        Err(usage(format!("the recipe names Argilla at {recipe}, ARGILLA_API_URL at {env}"), hint))
    }
}

fn usage(what: String, hint: &str) -> Error {
    Error::Usage { what, hint: hint.to_owned() }
}

/// An address without what makes no difference.
fn trimmed(url: &str) -> String {
    url.trim().trim_end_matches('/').to_owned()
}

/// Whether a secret can stand in a header.
fn fits_a_header(secret: &str) -> bool {
    secret.chars().all(|c| (' '..='~').contains(&c))
}

/// The way out of an address that cannot be one.
pub(crate) const ADDRESS_HINT: &str =
    "an address is https://HOST or http://HOST:PORT; the key comes from ARGILLA_API_KEY alone";

/// What is wrong with an address.
pub(crate) fn address_fault(url: &str) -> Option<&'static str> {
    let Some((scheme, rest)) = url.split_once("://") else { return Some("has no http or https") };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !["http", "https"].contains(&scheme) {
        Some("has neither http nor https")
    } else if host.contains('@') {
        Some("holds a name or a password")
    } else if rest.contains(['?', '#']) {
        Some("has a query")
    } else if host.is_empty() {
        Some("names no host")
    } else {
        None
    }
}

/// Whether the Hub hosts the server: there a private one asks for a token of the Hub as well.
fn is_space(url: &str) -> bool {
    let host = url.strip_prefix("https://").and_then(|rest| rest.split(['/', ':']).next());
    host.is_some_and(|host| host.ends_with(".hf.space"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(vars: &[(&str, &str)]) -> ArgillaAccess {
        let get = |name: &str| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        ArgillaAccess::read(&get, None, false)
    }

    const KEYS: [(&str, &str); 3] = [
        ("ARGILLA_API_URL", "http://env:6900/"),
        ("ARGILLA_API_KEY", " secret-key "),
        ("HF_TOKEN", "secret-token"),
    ];

    #[test]
    fn the_nearest_address_counts() {
        let mut access = access(&KEYS);
        assert_eq!(access.server(None).unwrap().url, "http://env:6900");
        assert_eq!(access.server(Some("http://env:6900")).unwrap().url, "http://env:6900");
        access.url_of_env = None;
        assert_eq!(access.server(Some("https://recipe")).unwrap().url, "https://recipe");
        access.url = Some("https://here/".to_owned());
        assert_eq!(access.server(Some("https://recipe")).unwrap().url, "https://here");
    }

    #[test]
    fn credentials_are_never_shown_and_go_to_whom_they_belong() {
        let mut access = access(&KEYS);
        access.url = Some("https://me-argilla.hf.space".to_owned());
        let server = access.server(None).unwrap();
        assert_eq!(server.hf_token, Some(Secret("secret-token".to_owned())));
        assert_eq!(server.api_key, Secret("secret-key".to_owned()));
        for host in ["https://hf.space.evil.org", "http://me.hf.space", "https://localhost:6900"] {
            access.url = Some(host.to_owned());
            assert_eq!(access.server(None).unwrap().hf_token, None, "{host}");
        }
        let shown = format!("{access:?}{server:?}");
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn a_recipe_sends_the_secrets_nowhere_else() {
        const SPACE: &str = "https://me-argilla.hf.space";
        let mut access = access(&KEYS);
        let error = access.server(Some(SPACE)).unwrap_err();
        let said = format!("{error} | {}", error.hint().unwrap_or_default());
        assert_eq!(error.exit_code(), 2);
        for word in [SPACE, "http://env:6900", "ARGILLA_API_URL", "--url"] {
            assert!(said.contains(word), "it does not say {word:?}: {said}");
        }
        let token = Some(Secret("secret-token".to_owned()));
        // The recipe's word alone, then the variable's, then the command line's.
        access.url_of_env = None;
        assert_eq!(access.server(Some(SPACE)).unwrap().hf_token, None);
        access.url_of_env = Some(format!("{SPACE}/"));
        assert_eq!(access.server(Some(SPACE)).unwrap().hf_token, token);
        access.url_of_env = Some("http://env:6900".to_owned());
        access.url = Some(SPACE.to_owned());
        let server = access.server(Some("https://other")).unwrap();
        assert_eq!((server.url.as_str(), server.hf_token), (SPACE, token));
    }

    #[test]
    fn a_key_that_no_header_holds_is_told_before_anything_is_asked() {
        for key in ["secr\u{e9}t", "secret\nkey", "secret\u{200b}"] {
            let access = access(&[("ARGILLA_API_URL", "http://h"), ("ARGILLA_API_KEY", key)]);
            let error = access.server(None).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let said = error.to_string();
            assert_eq!(said, "ARGILLA_API_KEY holds what no request can carry");
        }
    }

    #[test]
    fn what_is_missing_is_told() {
        let said = |access: &ArgillaAccess, url| access.server(url).unwrap_err().to_string();
        assert!(said(&access(&[]), None).contains("address of Argilla is not known"));
        assert!(said(&access(&[]), Some("http://h")).contains("no key for Argilla at http://h"));
        let mut offline = access(&KEYS);
        offline.offline = true;
        assert!(said(&offline, None).contains("--offline"));
        for (url, fault) in [
            ("https://user:secret@host", "holds a name or a password"),
            ("host:6900", "has no http or https"),
            ("ftp://host", "neither http nor https"),
            ("https://host?api_key=secret", "has a query"),
            ("https:///x", "names no host"),
        ] {
            let said_of_env =
                said(&access(&[&KEYS[1..], &[("ARGILLA_API_URL", url)]].concat()), None);
            assert!(
                said_of_env.contains(fault) && !said_of_env.contains("secret"),
                "{said_of_env}"
            );
            let said = said(&access(&KEYS), Some(url));
            assert!(said.contains(fault) && !said.contains("secret"), "{said}");
        }
    }
}
