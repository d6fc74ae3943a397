//! A reader of HTML that takes nothing for granted: every element is closed in its turn, every
//! attribute is quoted, every ampersand begins a reference.

/// Elements that have no end.
const VOID: [&str; 6] = ["meta", "br", "wbr", "hr", "img", "link"];

/// What a page holds.
#[derive(Debug, Default)]
pub(crate) struct Html {
    /// Elements in order, with their attributes.
    pub(crate) elements: Vec<(String, Vec<(String, String)>)>,
    /// All text, references resolved, style sheets left out.
    pub(crate) text: String,
}

impl Html {
    /// Reads a page; panics at the first thing that is not well-formed.
    pub(crate) fn read(page: &str) -> Self {
        let mut html = Self::default();
        let mut open: Vec<String> = Vec::new();
        let mut rest = page.trim_start().strip_prefix("<!DOCTYPE html>").expect("a doctype");
        while let Some(at) = rest.find('<') {
            html.text.push_str(&resolved(&rest[..at]));
            let end = at + rest[at..].find('>').expect("a tag ends");
            let tag = &rest[at + 1..end];
            rest = &rest[end + 1..];
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name), "closed out of turn");
                continue;
            }
            let (name, attributes) = read_tag(tag.strip_suffix('/').unwrap_or(tag));
            if name == "style" {
                let end = rest.find("</style>").expect("a style ends");
                rest = &rest[end..];
            }
            if !VOID.contains(&name.as_str()) && !tag.ends_with('/') {
                open.push(name.clone());
            }
            html.elements.push((name, attributes));
        }
        html.text.push_str(&resolved(rest));
        assert!(open.is_empty(), "left open: {open:?}");
        html
    }

    /// How many elements have this name.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.elements.iter().filter(|(known, _)| known == name).count()
    }

    /// All values of an attribute.
    pub(crate) fn values<'a>(&'a self, attribute: &'a str) -> impl Iterator<Item = &'a str> {
        let attributes = self.elements.iter().flat_map(|(_, attributes)| attributes);
        attributes.filter(move |(name, _)| name == attribute).map(|(_, value)| value.as_str())
    }
}

fn read_tag(tag: &str) -> (String, Vec<(String, String)>) {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "no name of an element: {name:?}");
    let mut attributes = Vec::new();
    while !rest.trim_start().is_empty() {
        let (name, value) = rest.trim_start().split_once("=\"").expect("a quoted attribute");
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        assert!(is_name, "no name of an attribute: {name:?}");
        let (value, after) = value.split_once('"').expect("the quotes close");
        attributes.push((name.to_owned(), resolved(value)));
        rest = after;
    }
    (name.to_owned(), attributes)
}

/// The text behind references.
fn resolved(text: &str) -> String {
    let mut parts = text.split('&');
    let mut resolved = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, after) =
            part.split_once(';').unwrap_or_else(|| panic!("a bare ampersand: {part:?}"));
        resolved.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "#x27" | "#39" => '\'',
            "#x2f" => '/',
            other => panic!("an unknown reference: {other:?}"),
        });
        resolved.push_str(after);
    }
    resolved
}

#[test]
fn what_is_not_well_formed_is_seen() {
    let page = |body: &str| format!("<!DOCTYPE html><p>{body}</p>");
    let html = Html::read(&page("a &lt; b<br><i class=\"x y\">c</i>"));
    assert_eq!((html.text.as_str(), html.count("i")), ("a < bc", 1));
    assert_eq!(html.values("class").collect::<Vec<_>>(), ["x y"]);
    for wrong in ["<i>", "</i>", "a & b", "<i class=x>c</i>", "<i>b</p>"] {
        let read = std::panic::catch_unwind(|| Html::read(&page(wrong)));
        assert!(read.is_err(), "{wrong}");
    }
}
