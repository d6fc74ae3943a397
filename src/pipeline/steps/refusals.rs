//! DropRefusals: rows whose answer declines to answer.
//!
//! Phrases of our own, looked for where refusals stand: at the beginning of an answer, behind an
//! apology or two. A phrase says that the speaker cannot or will not, and then what: to help, to
//! provide, to write. So "I cannot believe that..." is an answer, and so is a story that someone
//! is refused in.
//!
//! Limits: English only; only the first sentences are read, so a refusal after a paragraph of talk
//! goes through; an answer that rightly says "I don't have access to your files" is taken for a
//! refusal. The step is for data that wants answers. Where declining is the lesson, leave it out.

use std::borrow::Cow;

use super::{Dropped, Plain, one_or_more, take};
use crate::data::row::Columns;
use crate::pipeline::noise::Draw;
use crate::recipe::spec::DropRefusals;
use crate::text::near::normalise;

/// Sentences that are read, and most characters of all of them.
const N_SENTENCES: usize = 3;
const N_CHARS: usize = 400;

/// Openings that say nothing yet: what follows them is read as if it stood first. Longest first
/// where one begins another.
const PREFACES: &[&str] = &[
    "i'm really sorry",
    "i'm very sorry",
    "i'm so sorry",
    "i'm sorry",
    "i am really sorry",
    "i am very sorry",
    "i am sorry",
    "we're sorry",
    "we are sorry",
    "so sorry",
    "sorry",
    "i apologize",
    "i apologise",
    "my apologies",
    "apologies",
    "unfortunately",
    "regrettably",
    "i'm afraid that",
    "i'm afraid",
    "i am afraid that",
    "i am afraid",
    "i regret to say that",
    "i understand your request",
    "i appreciate your question",
    "thank you for your question",
    "thanks for asking",
    "for the inconvenience",
    "for any confusion",
    "for the confusion",
    "to hear that",
    "as a language model",
    "as a large language model",
    "as an ai language model",
    "as an ai assistant",
    "as an ai model",
    "as an artificial intelligence",
    "as an ai",
    "being an ai",
    "however",
    "but",
    "and",
    "that",
    "no",
];

/// What the speaker cannot or will not, before the deed.
const DECLINES: &[&str] = &[
    "i cannot",
    "i can not",
    "i can't",
    "i could not",
    "i couldn't",
    "i won't",
    "i will not",
    "i'm not able to",
    "i am not able to",
    "i'm unable to",
    "i am unable to",
    "i'm not comfortable",
    "i am not comfortable",
    "i'm not allowed to",
    "i am not allowed to",
    "i'm not permitted to",
    "i am not permitted to",
    "i'm not programmed to",
    "i am not programmed to",
    "i'm not going to",
    "i am not going to",
    "i must decline to",
    "i have to decline to",
    "i decline to",
    "i refuse to",
    "i must refuse to",
    "i don't feel comfortable",
    "i do not feel comfortable",
    "we cannot",
    "we can't",
    "we are unable to",
    "it is not appropriate for me to",
    "it's not appropriate for me to",
    "it would not be appropriate for me to",
    "it would be inappropriate for me to",
];

/// Words that may stand between the two.
const FILLERS: &[&str] = &[
    "actually",
    "and will not",
    "and won't",
    "currently",
    "directly",
    "ethically",
    "fully",
    "in good",
    "conscience",
    "just",
    "legally",
    "or will not",
    "possibly",
    "really",
    "simply",
    "to",
    "with",
];

/// Deeds that are none.
const NO_DEEDS: &[&str] =
    &["help but", "help feeling", "help it", "help thinking", "help wondering"];

/// Deeds that are declined, by the beginning of their first word.
const DEEDS: &[&str] = &[
    "accommodat",
    "advis",
    "agree to",
    "aid",
    "answer",
    "assist",
    "carry out",
    "complet",
    "comply",
    "continu",
    "creat",
    "discuss",
    "do that",
    "do this",
    "encourag",
    "endors",
    "engag",
    "explain how",
    "facilitat",
    "fulfil",
    "generat",
    "give you",
    "help",
    "offer",
    "participat",
    "perform",
    "produc",
    "provid",
    "recommend",
    "respond",
    "satisf",
    "share",
    "show you",
    "suggest",
    "support",
    "teach",
    "tell you",
    "write",
];

/// Sentences that decline all by themselves.
const WHOLE: &[&str] = &[
    "i must decline",
    "i have to decline",
    "i decline",
    "i refuse",
    "i don't have access to",
    "i do not have access to",
    "i don't have the ability to",
    "i do not have the ability to",
    "i don't have the capability to",
    "i do not have the capability to",
    "i have no access to",
    "my programming does not allow",
    "my guidelines do not allow",
    "my guidelines prohibit",
    "this request goes against",
    "this request violates",
    "your request goes against",
    "your request violates",
    "that goes against my",
    "this goes against my",
];

pub(super) struct RefusalStep {
    column: String,
}

impl RefusalStep {
    pub(super) fn build(spec: &DropRefusals) -> Self {
        Self { column: spec.column.clone() }
    }
}

impl Plain for RefusalStep {
    fn apply(&self, row: &mut Cow<'_, Columns>, _: Draw<'_>) -> Result<Vec<Columns>, Dropped> {
        let texts = one_or_more(row, &self.column)?;
        let refusal = texts.iter().zip(1..).find_map(|(text, n)| Some((n, refusal(text)?)));
        if let Some((n, words)) = refusal {
            let detail = format!("text {n} of `{}`: \"{words}\"", self.column);
            return Err(Dropped::new("the answer is a refusal", detail));
        }
        Ok(vec![take(row)])
    }
}

/// The words by which an answer declines, if it does.
fn refusal(answer: &str) -> Option<String> {
    let plain: String =
        normalise(answer).chars().take(N_CHARS).flat_map(char::to_lowercase).collect();
    let plain = plain.replace(['\u{2019}', '\u{2bc}', '`'], "'").replace(['*', '_', '#'], "");
    plain.split_inclusive(['.', '!', '?']).take(N_SENTENCES).find_map(declines)
}

fn declines(sentence: &str) -> Option<String> {
    let mut rest = sentence;
    loop {
        rest = trimmed(rest);
        if let Some(phrase) = WHOLE.iter().find(|phrase| follows(rest, phrase).is_some()) {
            return Some((*phrase).to_owned());
        }
        if let Some(words) = cannot(rest) {
            return Some(words);
        }
        rest = PREFACES.iter().find_map(|preface| follows(rest, preface))?;
    }
}

/// `I cannot ... help`, as it stands in the text.
fn cannot(text: &str) -> Option<String> {
    let behind = DECLINES.iter().find_map(|phrase| follows(text, phrase))?;
    let mut rest = trimmed(behind);
    while let Some(behind) = FILLERS.iter().find_map(|filler| follows(rest, filler)) {
        rest = trimmed(behind);
    }
    if NO_DEEDS.iter().any(|phrase| rest.starts_with(phrase)) {
        return None;
    }
    let deed = DEEDS.iter().find(|deed| rest.starts_with(**deed))?;
    let words = &text[..text.len() - rest.len()];
    Some(format!("{words}{deed}").trim().to_owned())
}

fn trimmed(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_whitespace() || ",;:.-\u{2014}\u{2013}".contains(c))
}

/// What stands behind `phrase`, if the text begins with it and it ends there.
fn follows<'a>(text: &'a str, phrase: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(phrase)?;
    rest.chars().next().is_none_or(|c| !c.is_alphanumeric() && c != '\'').then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::steps::DRAW;
    use serde_json::json;

    #[test]
    fn answers_that_decline_are_found() {
        for text in [
            "I'm sorry, but I can't help with that.",
            "I\u{2019}m sorry, but I cannot assist with that request.",
            "Sorry! I can't help you with this one.",
            "As an AI language model, I cannot provide medical advice.",
            "Unfortunately, I'm unable to generate that kind of content.",
            "I apologize, but as an AI I am not able to write explicit material.",
            "**I cannot fulfill this request.** It could hurt people.",
            "I must decline.",
            "Thank you for your question. However, I won't be able to. I can't answer it.",
            "I don't have access to real-time data, so I cannot say.",
            "I will not help with that.",
            "I cannot, in good conscience, help you.",
            "It would be inappropriate for me to share that.",
            "I cannot and will not provide instructions.",
        ] {
            assert!(refusal(text).is_some(), "{text}");
        }
    }

    #[test]
    fn answers_that_answer_are_not() {
        for text in [
            "I cannot believe how well this works: 2 + 2 = 4.",
            "You cannot divide by zero.",
            "The knight said: \"I cannot help you.\"",
            "\"I'm sorry, I can't help you,\" said the clerk, and the story began.",
            "Sorry seems to be the hardest word, a song by Elton John, is from 1976.",
            "If I can't help you today, the office opens tomorrow.",
            "I can help with that! First, add the numbers.",
            "But I digress. The answer is 7.",
            "No. The square root of two is irrational.",
            "I can't help but smile: the answer is 12.",
            "I can't stress enough how important tests are.",
            "Helpfulness is a virtue that I cannot praise enough.",
            "",
        ] {
            assert_eq!(refusal(text), None, "{text}");
        }
    }

    #[test]
    fn one_refusal_among_grouped_answers_drops_the_row() {
        let step = RefusalStep::build(&DropRefusals { column: "generations".to_owned() });
        let row = json!({"generations": ["4", "I'm sorry, I cannot help with sums."]});
        let dropped = step.apply(&mut Cow::Borrowed(row.as_object().unwrap()), DRAW).unwrap_err();
        assert_eq!(dropped.reason, "the answer is a refusal");
        assert_eq!(dropped.detail, "text 2 of `generations`: \"i cannot help\"");
        let row = json!({"generations": ["4", "5"]});
        assert!(step.apply(&mut Cow::Borrowed(row.as_object().unwrap()), DRAW).is_ok());
    }
}
