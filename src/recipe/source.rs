//! What the text of a model's `source` means.

use std::path::{Path, PathBuf};

use super::spec::ModelSpec;

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A member of the family that comes with the program.
    Demo(String),
    /// A seeded random checkpoint of this shape, written to the cache folder once.
    Tiny(String),
    /// A folder in Hugging Face format.
    Folder(PathBuf),
    /// A repository of the Hub, `org/name`.
    Hub(String),
}

impl ModelSpec {
    /// Where the model comes from.
    ///
    /// A folder begins with `/`, `./` or `../`; reading a recipe writes it so.
    ///
    /// # Errors
    /// What is wrong with the text, and the way out.
    pub fn origin(&self) -> Result<Source, (String, String)> {
        let source = self.source.as_str();
        if let Some(shape) = source.strip_prefix("tiny:") {
            return Ok(Source::Tiny(shape.to_owned()));
        }
        if let Some(member) = source.strip_prefix("demo:") {
            return Ok(Source::Demo(member.to_owned()));
        }
        if Path::new(source).extension().is_some_and(|ext| ext.eq_ignore_ascii_case("gguf")) {
            return Err((
                format!("`{source}`: GGUF files are not read yet"),
                "use the safetensors of the same model and `quantize = \"q8_0\"` or \"q4_k\""
                    .to_owned(),
            ));
        }
        if Path::new(source).is_absolute() || source.starts_with('.') {
            return Ok(Source::Folder(PathBuf::from(source)));
        }
        if source.contains('/') && is_repository(source) {
            return Ok(Source::Hub(source.to_owned()));
        }
        Err((
            format!("`{source}` is no folder and no Hub repository"),
            "write `demo:NAME`, `tiny:SHAPE`, a folder such as `./models/llama`, or `org/name`"
                .to_owned(),
        ))
    }
}

/// `org/name`, or the `name` of the oldest repositories, in the Hub's alphabet.
pub(super) fn is_repository(text: &str) -> bool {
    let part = |part: &str| {
        let is_dots = part.chars().all(|c| c == '.');
        !is_dots && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
    };
    let (org, name) = text.split_once('/').unwrap_or(("org", text));
    part(org) && part(name)
}

/// The text of a source with a folder made relative to `folder` instead of to the recipe.
///
/// `org/name` is a folder if there is one of that name, as in the Hub's own clients.
pub(super) fn resolve_source(source: &str, folder: &Path) -> String {
    let path = resolve_path(Path::new(source), folder);
    let is_marked = source.starts_with(['.', '~']) || Path::new(source).is_absolute();
    let is_scheme = source.starts_with("tiny:") || source.starts_with("demo:");
    if is_scheme || !(is_marked || path.is_dir()) {
        return source.to_owned();
    }
    let text = path.to_string_lossy().into_owned();
    if path.is_absolute() || text.starts_with('.') { text } else { format!("./{text}") }
}

/// `path` seen from the working folder, when it was written as seen from `folder`.
pub(super) fn resolve_path(path: &Path, folder: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => folder.join(path),
    }
}
