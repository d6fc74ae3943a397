//! The environment, as Python's client reads it: the only place of this room that does.

use std::path::PathBuf;

use super::HubOptions;
use crate::web::Patience;

/// The Hub unless `HF_ENDPOINT` names another.
const ENDPOINT: &str = "https://huggingface.co";

impl HubOptions {
    /// What the environment says; `offline` is the command line's, to which the environment can
    /// only add.
    pub fn from_env(offline: bool) -> Self {
        Self::read(&|name| std::env::var(name).ok(), offline)
    }

    fn read(env: &dyn Fn(&str) -> Option<String>, offline: bool) -> Self {
        let get = |name: &str| env(name).filter(|value| !value.trim().is_empty());
        let path = |name: &str| get(name).map(PathBuf::from);
        let home = path("HF_HOME").unwrap_or_else(|| {
            let user = path("HOME").or_else(|| path("USERPROFILE")).unwrap_or_default();
            path("XDG_CACHE_HOME").unwrap_or_else(|| user.join(".cache")).join("huggingface")
        });
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let kept = || std::fs::read_to_string(&token_file).ok();
        let token = get("HF_TOKEN").or_else(kept).map(|token| token.trim().to_owned());
        let said = get("HF_HUB_OFFLINE").unwrap_or_default().to_ascii_lowercase();
        Self {
            endpoint: get("HF_ENDPOINT")
                .as_deref()
                .unwrap_or(ENDPOINT)
                .trim_end_matches('/')
                .into(),
            token: token.filter(|token| !token.is_empty()),
            cache: path("HF_HUB_CACHE").unwrap_or_else(|| home.join("hub")),
            offline: offline || ["1", "on", "yes", "true"].contains(&said.as_str()),
            patience: Patience::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> HubOptions {
        let get = |name: &str| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        HubOptions::read(&get, false)
    }

    #[test]
    fn the_cache_is_where_pythons_client_has_it() {
        let cache = |vars: &[_]| read(vars).cache;
        assert_eq!(cache(&[("HOME", "/h")]), PathBuf::from("/h/.cache/huggingface/hub"));
        let xdg = [("HOME", "/h"), ("XDG_CACHE_HOME", "/x")];
        assert_eq!(cache(&xdg), PathBuf::from("/x/huggingface/hub"));
        let home = [("HF_HOME", "/hf"), ("XDG_CACHE_HOME", "/x")];
        assert_eq!(cache(&home), PathBuf::from("/hf/hub"));
        assert_eq!(cache(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/hf")]), PathBuf::from("/c"));
    }

    #[test]
    fn endpoint_token_and_offline_are_read() {
        let plain = read(&[("HF_HOME", "/none")]);
        assert_eq!(plain.endpoint, "https://huggingface.co");
        assert_eq!((plain.token, plain.offline), (None, false));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "kept\n").unwrap();
        let home = folder.path().to_str().unwrap();
        assert_eq!(read(&[("HF_HOME", home)]).token.as_deref(), Some("kept"));
        let said = read(&[
            ("HF_HOME", home),
            ("HF_TOKEN", " said "),
            ("HF_ENDPOINT", "http://mirror/"),
            ("HF_HUB_OFFLINE", "ON"),
        ]);
        assert_eq!(said.token.as_deref(), Some("said"));
        assert_eq!(said.endpoint, "http://mirror");
        assert!(said.offline);
        assert!(!read(&[("HF_HUB_OFFLINE", "0")]).offline);
    }
}
