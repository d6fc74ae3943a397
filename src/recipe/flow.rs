//! The flow as it is written: `topics >> instruct >> [a, b] >> group`.
//!
//! An element is a step or a list of steps, on either side of `>>`; a list to a list joins all
//! pairs. Line breaks are free. Several chains may be given, as a list of strings: a step named in
//! two of them is the same step. It must not know which steps exist; see [`super::graph`].

use std::ops::Range;

use super::graph::Graph;
use super::place::Place;

/// What the parser stumbled over: bytes of the text, message, hint.
pub(super) struct Stumble {
    pub(super) at: Range<usize>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// A step's name and its bytes in the text.
type Mention<'t> = (&'t str, Range<usize>);

/// Parses one chain into `graph`. `place_of` turns bytes of the text into a place.
///
/// # Errors
/// At the first thing that is not the grammar.
pub(super) fn parse(
    text: &str,
    graph: &mut Graph,
    place_of: &dyn Fn(Range<usize>) -> Place,
) -> Result<(), Stumble> {
    let mut parser = Parser { text, at: 0 };
    let mut previous = link(&parser.element()?, graph, &[], place_of);
    while !parser.is_at_end() {
        parser.expect_arrow()?;
        previous = link(&parser.element()?, graph, &previous, place_of);
    }
    Ok(())
}

/// Adds an element's steps and their edges from each of `parents`; returns the steps' numbers.
fn link(
    element: &[Mention<'_>],
    graph: &mut Graph,
    parents: &[usize],
    place_of: &dyn Fn(Range<usize>) -> Place,
) -> Vec<usize> {
    element
        .iter()
        .map(|(name, at)| {
            let place = place_of(at.clone());
            let step = graph.step(name, &place);
            parents.iter().for_each(|parent| graph.edge(*parent, step, &place));
            step
        })
        .collect()
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.at == self.text.len()
    }

    /// Takes `token` if it comes next.
    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.text[self.at..].starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// A name, or names in brackets.
    fn element(&mut self) -> Result<Vec<Mention<'t>>, Stumble> {
        if !self.take("[") {
            return Ok(vec![self.name()?]);
        }
        let mut mentions: Vec<Mention<'t>> = Vec::new();
        loop {
            let (name, at) = self.name()?;
            if mentions.iter().any(|(other, _)| *other == name) {
                let message = format!("`{name}` stands twice in one list");
                return Err(Stumble { at, message, hint: None });
            }
            mentions.push((name, at));
            let comma = self.take(",");
            if self.take("]") {
                return Ok(mentions);
            }
            if !comma {
                return Err(self.stumble("`,` or `]`"));
            }
        }
    }

    fn name(&mut self) -> Result<Mention<'t>, Stumble> {
        self.skip_space();
        let rest = &self.text[self.at..];
        let len = rest.find(|c: char| !is_name_char(c)).unwrap_or(rest.len());
        if len == 0 {
            return Err(self.stumble("the name of a step"));
        }
        let at = self.at..self.at + len;
        self.at = at.end;
        Ok((&self.text[at.clone()], at))
    }

    fn expect_arrow(&mut self) -> Result<(), Stumble> {
        if self.take(">>") { Ok(()) } else { Err(self.stumble("`>>`")) }
    }

    fn stumble(&mut self, wanted: &str) -> Stumble {
        self.skip_space();
        let next = self.text[self.at..].chars().next();
        let found = next.map_or("the end".to_owned(), |c| format!("`{c}`"));
        Stumble {
            at: self.at..self.at + next.map_or(0, char::len_utf8),
            message: format!("the flow has {found} where {wanted} should be"),
            hint: Some("a flow reads `load >> [answer_a, answer_b] >> group >> judge`".to_owned()),
        }
    }
}

/// Whether `c` may stand in the name of a step or a model: what TOML allows in a bare key.
pub(super) fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}
