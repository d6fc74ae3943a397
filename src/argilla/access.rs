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
        own.map(|url| url.trim().trim_end_matches('/').to_owned())
    }

    /// The server to speak to.
    ///
    /// # Errors
    /// [`Error::Usage`] when the address or the key is missing or no connection may be opened.
    pub fn server(&self, of_recipe: Option<&str>) -> Result<ArgillaServer> {
        let usage = |what: String, hint: &str| Error::Usage { what, hint: hint.to_owned() };
        let url = self.address(of_recipe).ok_or_else(|| {
            let hint = "name it with --url, `api_url` in the recipe, or ARGILLA_API_URL";
            usage("the address of Argilla is not known".to_owned(), hint)
        })?;
        if let Some(fault) = address_fault(&url) {
            // The address itself stays untold: it may hold what must not be.
            return Err(usage(format!("Argilla's address {fault}"), ADDRESS_HINT));
        }
        if self.offline {
            let hint =
                "leave --offline out; `push argilla --dry-run` looks at the rows and sends nothing";
            return Err(usage(format!("Argilla at {url} is not to be had with --offline"), hint));
        }
        let api_key = self.api_key.clone().ok_or_else(|| {
            let hint = "set ARGILLA_API_KEY to the key that Argilla shows under your settings";
            usage(format!("there is no key for Argilla at {url}"), hint)
        })?;
        // Whoever else runs a server has no business with a token of the Hub.
        let hf_token = self.hf_token.clone().filter(|_| is_space(&url));
        Ok(ArgillaServer { url, api_key, hf_token, patience: self.patience.clone() })
    }
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
        assert_eq!(access.server(Some("https://recipe")).unwrap().url, "https://recipe");
        access.url = Some("https://here/".to_owned());
        assert_eq!(access.server(Some("https://recipe")).unwrap().url, "https://here");
    }

    #[test]
    fn credentials_are_never_shown_and_go_to_whom_they_belong() {
        let access = access(&KEYS);
        let server = access.server(Some("https://me-argilla.hf.space")).unwrap();
        assert_eq!(server.hf_token, Some(Secret("secret-token".to_owned())));
        assert_eq!(server.api_key, Secret("secret-key".to_owned()));
        for host in ["https://hf.space.evil.org", "http://me.hf.space", "https://localhost:6900"] {
            assert_eq!(access.server(Some(host)).unwrap().hf_token, None, "{host}");
        }
        let shown = format!("{access:?}{server:?}");
        assert!(!shown.contains("secret"), "{shown}");
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
            let said = said(&access(&KEYS), Some(url));
            assert!(said.contains(fault) && !said.contains("secret"), "{said}");
        }
    }
}
