//! What a data set's card says about its files: the field `configs` of the YAML before its text.
//!
//! It must not know which files there are.

use yaml_rust2::{Yaml, YamlLoader};

/// Most bytes of the field and of one of its lines.
const N_BYTES_MAX: usize = 1 << 20;
const N_LINE_BYTES_MAX: usize = 1000;

/// A config that a card names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CardConfig {
    pub(super) name: String,
    pub(super) is_default: bool,
    /// The folder that patterns are seen from.
    pub(super) folder: Option<String>,
    /// Splits with the patterns of their files; absent when names of files tell.
    pub(super) splits: Option<Vec<(String, Vec<String>)>>,
    /// What the card says of a CSV file's separator.
    pub(super) separator: Option<String>,
}

/// The configs of a card, in its order; none where it names none.
///
/// # Errors
/// What is wrong with them, in a phrase.
pub(super) fn configs(card: &str) -> Result<Vec<CardConfig>, String> {
    let Some(header) = header(card) else { return Ok(Vec::new()) };
    let field = field(header, "configs");
    check_plain(&field)?;
    let documents = YamlLoader::load_from_str(&field).map_err(|e| e.to_string())?;
    let Some(document) = documents.first() else { return Ok(Vec::new()) };
    let field = &document["configs"];
    if field.is_badvalue() || field.is_null() {
        return Ok(Vec::new());
    }
    field.as_vec().ok_or("`configs` is no list")?.iter().map(config).collect()
}

/// The lines between the first two that are `---`.
fn header(card: &str) -> Option<&str> {
    let card = card.strip_prefix('\u{feff}').unwrap_or(card);
    let rest = card.strip_prefix("---\n").or_else(|| card.strip_prefix("---\r\n"))?;
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Some(&rest[..at]);
        }
        at += line.len();
    }
    None
}

/// The lines of a field at the top, which is all that is parsed of a text from the network.
fn field(header: &str, name: &str) -> String {
    let mut is_in = false;
    let mut lines = String::new();
    for line in header.split_inclusive('\n') {
        let is_top = !line.starts_with([' ', '\t', '-', '#', '\r', '\n']);
        is_in = if is_top { line.strip_prefix(name).is_some_and(is_value) } else { is_in };
        if is_in {
            lines.push_str(line);
        }
    }
    lines
}

fn is_value(rest: &str) -> bool {
    rest.trim_start().starts_with(':')
}

/// A parser that follows every reference and every level can be asked for more than there is.
fn check_plain(text: &str) -> Result<(), String> {
    if text.len() > N_BYTES_MAX || text.lines().any(|line| line.len() > N_LINE_BYTES_MAX) {
        return Err("`configs` is longer than any list of files".to_owned());
    }
    let is_reference = |word: &str| {
        let mut letters = word.trim_start_matches(['[', '{', '-']).chars();
        let mark = letters.next();
        matches!(mark, Some('&' | '*')) && letters.next().is_some_and(char::is_alphanumeric)
    };
    let words = text.split(|c: char| c.is_whitespace() || c == ',');
    match words.into_iter().find(|word| is_reference(word)) {
        Some(word) => Err(format!("`configs` refers to another place with `{word}`")),
        None => Ok(()),
    }
}

fn config(yaml: &Yaml) -> Result<CardConfig, String> {
    let name = scalar(&yaml["config_name"]).ok_or("a config has no `config_name`")?;
    let files = &yaml["data_files"];
    let splits = if files.is_badvalue() || files.is_null() {
        None
    } else {
        Some(splits(files).map_err(|why| format!("config `{name}`: {why}"))?)
    };
    let separator = scalar(&yaml["sep"]).or_else(|| scalar(&yaml["delimiter"]));
    Ok(CardConfig {
        is_default: yaml["default"].as_bool() == Some(true),
        folder: scalar(&yaml["data_dir"]).map(|folder| folder.trim_matches('/').to_owned()),
        splits,
        separator,
        name,
    })
}

/// `data_files`: a pattern, patterns, or a list of splits with one or more each.
fn splits(yaml: &Yaml) -> Result<Vec<(String, Vec<String>)>, String> {
    let train = |patterns| Ok(vec![("train".to_owned(), patterns)]);
    if let Some(pattern) = scalar(yaml) {
        return train(vec![pattern]);
    }
    if let Yaml::Hash(table) = yaml {
        let split = |(name, paths): (&Yaml, &Yaml)| Some((scalar(name)?, patterns(paths)?));
        return table.iter().map(split).collect::<Option<_>>().ok_or_else(odd);
    }
    let items = yaml.as_vec().ok_or_else(odd)?;
    if let Some(patterns) = items.iter().map(scalar).collect::<Option<Vec<_>>>() {
        return train(patterns);
    }
    let split = |item: &Yaml| Some((scalar(&item["split"])?, patterns(&item["path"])?));
    items.iter().map(split).collect::<Option<_>>().ok_or_else(odd)
}

fn patterns(yaml: &Yaml) -> Option<Vec<String>> {
    match yaml.as_vec() {
        Some(items) => items.iter().map(scalar).collect(),
        None => Some(vec![scalar(yaml)?]),
    }
}

fn odd() -> String {
    "`data_files` is neither a pattern, nor a list of patterns or of splits with their `path`"
        .to_owned()
}

/// A text, or a number or truth as the text that was written.
fn scalar(yaml: &Yaml) -> Option<String> {
    match yaml {
        Yaml::String(text) | Yaml::Real(text) => Some(text.clone()),
        Yaml::Integer(number) => Some(number.to_string()),
        Yaml::Boolean(truth) => Some(truth.to_string()),
        Yaml::Array(_) | Yaml::Hash(_) | Yaml::Alias(_) | Yaml::Null | Yaml::BadValue => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, want: Result<&[(&str, bool, &str)], &str>) {
        let found = configs(&format!("---\n{header}---\n# Text\n---\n"));
        match (found, want) {
            (Ok(found), Ok(want)) => {
                let shown: Vec<_> = found
                    .iter()
                    .map(|config| {
                        let splits = config.splits.iter().flatten();
                        let splits = splits.map(|(name, paths)| format!("{name}={paths:?}"));
                        let splits = splits.collect::<Vec<_>>().join(" ");
                        (config.name.clone(), config.is_default, splits)
                    })
                    .collect();
                let want: Vec<_> = want
                    .iter()
                    .map(|(name, is_default, splits)| {
                        ((*name).to_owned(), *is_default, (*splits).to_owned())
                    })
                    .collect();
                assert_eq!(shown, want);
            }
            (Err(found), Err(want)) => assert!(found.contains(want), "{found}"),
            (found, want) => panic!("{found:?}, not {want:?}"),
        }
    }

    #[test]
    fn every_form_of_data_files_is_read() {
        check("license: mit\n", Ok(&[]));
        check("configs:\n- config_name: a\n", Ok(&[("a", false, "")]));
        check(
            "configs:\n- config_name: 2024\n  default: true\n  data_files: x.csv\n",
            Ok(&[("2024", true, r#"train=["x.csv"]"#)]),
        );
        check(
            "configs:\n- config_name: a\n  data_files: [p/*, q/*]\n",
            Ok(&[("a", false, r#"train=["p/*", "q/*"]"#)]),
        );
        check(
            "configs:\n- config_name: a\n  data_files:\n  - split: test\n    path: t/*\n  \
             - split: dev\n    path: [u, v]\n",
            Ok(&[("a", false, r#"test=["t/*"] dev=["u", "v"]"#)]),
        );
        check(
            "configs:\n- config_name: a\n  data_files:\n    test: t.json\n",
            Ok(&[("a", false, r#"test=["t.json"]"#)]),
        );
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        check("configs: yes\n", Err("no list"));
        check("configs:\n- data_files: x\n", Err("no `config_name`"));
        check("configs:\n- config_name: a\n  data_files:\n  - split: x\n", Err("config `a`"));
        check("configs: [\n", Err(""));
    }

    #[test]
    fn a_card_cannot_ask_for_more_than_there_is() {
        let bomb = "a: &a [x, x]\nconfigs:\n- &b [*a, *a]\n- [*b, *b]\n";
        check(bomb, Err("refers to another place"));
        check(&format!("configs:\n{}\n", "- ".repeat(100_000)), Err("longer than any"));
        // What other fields hold is not parsed at all.
        let other = format!("x: {}\nconfigs:\n- config_name: a\ny: &y 1\n", "[".repeat(9999));
        check(&other, Ok(&[("a", false, "")]));
    }

    #[test]
    fn a_card_without_a_header_names_nothing() {
        for card in ["", "# Text", "---\nconfigs: x\n", "text\n---\nconfigs: x\n---\n"] {
            assert_eq!(configs(card), Ok(Vec::new()), "{card}");
        }
    }
}
