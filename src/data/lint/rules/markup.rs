//! Control tokens and the marks of chat templates in texts.
//!
//! A tokenizer reads `<|eot_id|>` in a text as the token that ends the turn, and `[INST]` in an
//! answer teaches the model to write the user's part.

use crate::data::lint::sample::Sample;

/// Marks of the widespread templates that are not written as `<|name|>`.
const MARKS: [&str; 14] = [
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "<</SYS>>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<bos>",
    "<eos>",
    "</s>",
    "### Instruction:",
    "### Response:",
    "<\u{ff5c}User\u{ff5c}>",
    "<\u{ff5c}Assistant\u{ff5c}>",
    "[/AVAILABLE_TOOLS]",
];

/// Longest name of a control token such as `<|start_header_id|>`.
const N_NAME_BYTES_MAX: usize = 40;

/// Control tokens shorter than this are words of ordinary texts too.
const N_TOKEN_BYTES_MIN: usize = 4;

pub(super) fn is_broken(sample: &Sample<'_>, control_tokens: &[String]) -> bool {
    sample.turns().any(|turn| is_marked(turn.content, control_tokens))
}

fn is_marked(text: &str, control_tokens: &[String]) -> bool {
    let is_long = |token: &&String| token.len() >= N_TOKEN_BYTES_MIN;
    // All known marks begin in one of three ways, and most texts hold none of them.
    (text.contains(['<', '[']) || text.contains("###"))
        && (has_piped_name(text)
            || text.trim_start().starts_with("<s>")
            || MARKS.iter().any(|mark| text.contains(mark)))
        || control_tokens.iter().filter(is_long).any(|token| text.contains(token.as_str()))
}

/// Whether there is a `<|name|>`.
fn has_piped_name(text: &str) -> bool {
    text.match_indices("<|").any(|(at, open)| {
        let rest = &text[at + open.len()..];
        rest.find("|>").is_some_and(|end| {
            (1..=N_NAME_BYTES_MAX).contains(&end)
                && rest[..end].bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_and_ordinary_texts_are_not() {
        for text in ["a<|eot_id|>", "<|im_start|>user", "[INST] hi", " <s>hi", "x</s>", "<bos>"] {
            assert!(is_marked(text, &[]), "{text}");
        }
        let ordinary = ["a <| b |> c < d", "if a<b {[x]}", "<|", "### Title", "f <|> g", "[1] <p>"];
        for text in ordinary {
            assert!(!is_marked(text, &[]), "{text}");
        }
        assert!(is_marked("the END-OF-TEXT", &["END-OF-TEXT".to_owned()]));
        assert!(!is_marked("a b", &["a".to_owned()]));
    }
}
