//! A row of any layout as the rules see it: a prompt, and the answers that follow it.

/// One turn of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn<'a> {
    /// Who speaks, in the words of TRL's layouts.
    pub(super) role: &'a str,
    /// What is said; empty where nothing is.
    pub(super) content: &'a str,
    /// Whether a key of the message is null, or the message is.
    pub(super) has_null: bool,
}

impl<'a> Turn<'a> {
    /// A turn of a text that stands in a column by itself.
    pub(super) fn plain(role: &'a str, content: Option<&'a str>) -> Self {
        Self { role, content: content.unwrap_or_default(), has_null: content.is_none() }
    }
}

/// A prompt with its answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sample<'a> {
    /// The turns before the answers.
    pub(super) prompt: Vec<Turn<'a>>,
    /// What follows them.
    pub(super) answers: Answers<'a>,
}

/// What follows a prompt; each answer has turns of its own only.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answers<'a> {
    /// A chosen and a rejected answer.
    Pair([Vec<Turn<'a>>; 2]),
    /// One answer, and whether it is a good one.
    Single(Vec<Turn<'a>>, bool),
}

impl<'a> Sample<'a> {
    /// A pair of whole conversations: what both begin with is the prompt.
    pub(super) fn of_conversations(chosen: Vec<Turn<'a>>, rejected: Vec<Turn<'a>>) -> Self {
        let own = chosen.len().min(rejected.len()).saturating_sub(1);
        let n_shared = chosen.iter().zip(&rejected).take(own).take_while(|(a, b)| a == b).count();
        let mut prompt = chosen;
        let own = prompt.split_off(n_shared);
        Self { prompt, answers: Answers::Pair([own, rejected[n_shared..].to_vec()]) }
    }

    /// The answers, the chosen one first.
    pub(super) fn answers(&self) -> impl Iterator<Item = &[Turn<'a>]> {
        let (first, second) = match &self.answers {
            Answers::Pair([chosen, rejected]) => (&chosen[..], Some(&rejected[..])),
            Answers::Single(answer, _) => (&answer[..], None),
        };
        std::iter::once(first).chain(second)
    }

    /// All turns, the prompt's first.
    pub(super) fn turns(&self) -> impl Iterator<Item = &Turn<'a>> {
        self.prompt.iter().chain(self.answers().flatten())
    }
}

/// The text of an answer's turns.
pub(super) fn text(turns: &[Turn<'_>]) -> String {
    let contents: Vec<_> = turns.iter().map(|turn| turn.content).collect();
    contents.join("\n")
}
