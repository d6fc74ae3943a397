//! The header of a card, read as far as this program writes it: lines in blocks, no more of YAML.
//!
//! Quotes and the order of a block's neighbours may change, as when somebody edits the card on the
//! Hub's page. It must not know files.

/// The header's lines, between the two `---`.
pub(super) fn lines(card: &str) -> Vec<&str> {
    let mut lines = card.lines();
    if lines.next().map(str::trim_end) != Some("---") {
        return Vec::new();
    }
    lines.take_while(|line| line.trim_end() != "---").collect()
}

/// The lines of the block under a key at the top.
pub(super) fn block<'t>(header: &[&'t str], key: &str) -> Vec<&'t str> {
    let is_key = |line: &&&str| line.strip_prefix(key).is_some_and(|rest| rest.trim_end() == ":");
    let start = header.iter().position(|line| is_key(&line)).map_or(header.len(), |at| at + 1);
    let inside = |line: &&&str| line.starts_with([' ', '-']) || line.trim().is_empty();
    header[start..]
        .iter()
        .take_while(inside)
        .filter(|line| !line.trim().is_empty())
        .copied()
        .collect()
}

/// A block's items, each from its `- config_name:` on, by the name.
pub(super) fn configs<'t>(block: &[&'t str]) -> Vec<(String, Vec<&'t str>)> {
    let mut configs: Vec<(String, Vec<&str>)> = Vec::new();
    for line in block {
        if let Some(name) = line.strip_prefix("- config_name:") {
            configs.push((unquoted(name), Vec::new()));
        } else if let Some((_, lines)) = configs.last_mut() {
            lines.push(line);
        }
    }
    configs
}

/// The value of `key` in a line such as `  - key: value`.
pub(super) fn value(line: &str, key: &str) -> Option<String> {
    let line = line.trim_start();
    let line = line.strip_prefix("- ").unwrap_or(line);
    Some(unquoted(line.strip_prefix(key)?.strip_prefix(':')?))
}

/// A line without what does not count: quotes, and blanks at its end.
pub(super) fn plain(line: &str) -> String {
    match line.split_once(": ") {
        Some((key, value)) => format!("{key}: {}", unquoted(value)),
        None => match line.trim_start().strip_prefix("- ") {
            Some(item) => format!("{}- {}", indent(line), unquoted(item)),
            None => line.trim_end().to_owned(),
        },
    }
}

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    let single = || text.strip_prefix('\'')?.strip_suffix('\'');
    if let Ok(serde_json::Value::String(text)) = serde_json::from_str(text) {
        text
    } else if let Some(inner) = single() {
        inner.replace("''", "'")
    } else {
        text.to_owned()
    }
}

/// The data files that a card names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CardFiles {
    /// Whether a run of ours wrote the card.
    pub is_ours: bool,
    /// What the names of files begin with, such as `data/train-`.
    prefixes: Vec<String>,
}

impl CardFiles {
    /// Reads a card.
    pub fn read(card: &str) -> Self {
        let header = lines(card);
        let is_ours =
            block(&header, "tags").iter().any(|tag| plain(tag).trim_start() == "- stillroom");
        let configs = configs(&block(&header, "configs"));
        let lines = configs.iter().flat_map(|(_, lines)| lines);
        let paths = lines.filter_map(|line| value(line, "path"));
        // Without a name before the star the whole repository would be meant.
        let prefixes = paths.filter_map(|path| Some(path.strip_suffix('*')?.to_owned()));
        Self { is_ours, prefixes: prefixes.filter(|prefix| prefix.contains('/')).collect() }
    }

    /// Whether the card takes a file for a part of its data.
    pub fn take(&self, name: &str) -> bool {
        self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }

    /// Whether a file is a shard as a run of ours writes them, and the card takes it.
    pub fn take_shard(&self, name: &str) -> bool {
        let is_number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
        self.prefixes.iter().filter_map(|prefix| name.strip_prefix(prefix.as_str())).any(|rest| {
            let numbers = rest.strip_suffix(".parquet").and_then(|rest| rest.split_once("-of-"));
            numbers.is_some_and(|(shard, of)| is_number(shard) && is_number(of))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "---\nlicense: other\ntags:\n- dpo\n- 'stillroom'\nconfigs:\n\
        - config_name: \"dpo\"\n  data_files:\n  - split: train\n    path: dpo/train-*\n  default: true\n\
        - config_name: keep\n  data_files:\n  - split: test\n    path: \"keep/test-*\"\n\
        dataset_info:\n- config_name: dpo\n  features:\n  - name: \"x\"\n    dtype: int64\n---\n# Title\n";

    #[test]
    fn blocks_and_their_items_are_told_apart() {
        let header = lines(CARD);
        let found = configs(&block(&header, "configs"));
        let names: Vec<_> =
            found.iter().map(|(name, lines)| (name.as_str(), lines.len())).collect();
        assert_eq!(names, [("dpo", 4), ("keep", 3)]);
        let info = configs(&block(&header, "dataset_info"));
        assert_eq!(
            info[0].1.iter().map(|line| plain(line)).collect::<Vec<_>>(),
            ["  features:", "  - name: x", "    dtype: int64"]
        );
        assert!(block(&header, "nothing").is_empty() && lines("# no header").is_empty());
    }

    #[test]
    fn a_card_says_which_files_are_its_data() {
        let files = CardFiles::read(CARD);
        assert!(files.is_ours);
        for (name, is_taken, is_shard) in [
            ("dpo/train-00000-of-00002.parquet", true, true),
            ("keep/test-00000-of-00001.parquet", true, true),
            ("keep/train-00000-of-00001.parquet", false, false),
            ("dpo/train-mine.parquet", true, false),
            ("dpo/train-00000-of-00002.parquet.bak", true, false),
            ("notes.txt", false, false),
        ] {
            assert_eq!((files.take(name), files.take_shard(name)), (is_taken, is_shard), "{name}");
        }
        assert_eq!(CardFiles::read("---\ntags:\n- dpo\n---\n"), CardFiles::default());
    }
}
