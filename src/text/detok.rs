//! From tokens back to text, one token at a time.
//!
//! A character may be spread over several tokens, so what is not yet a whole character waits.
//! Bytes that can never become one turn into U+FFFD, as `String::from_utf8_lossy` does it; bytes
//! that still wait at the end belong to an answer that was cut, and are left out.

use super::tokenizer::{TokenId, Tokenizer};

/// Turns the tokens of one answer into text as they come.
#[derive(Debug)]
pub struct Detokenizer<'a> {
    tokenizer: &'a Tokenizer,
    /// The start of a character that is not whole yet.
    waiting: Vec<u8>,
    /// Whether the next byte is the first of the answer and loses a space.
    strips_space: bool,
}

impl<'a> Detokenizer<'a> {
    /// For the tokens of one answer, from its first on.
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, waiting: Vec::new(), strips_space: tokenizer.strips_space() }
    }

    /// The characters that are whole with this token.
    pub fn push(&mut self, id: TokenId) -> String {
        let mut bytes = self.tokenizer.bytes(id);
        if self.strips_space && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
            self.strips_space = false;
        }
        self.waiting.extend_from_slice(bytes);
        take_whole_characters(&mut self.waiting)
    }
}

/// Takes all but the start of a character that more bytes could complete.
fn take_whole_characters(waiting: &mut Vec<u8>) -> String {
    let n_bytes = n_whole(waiting);
    let text = String::from_utf8_lossy(&waiting[..n_bytes]).into_owned();
    waiting.drain(..n_bytes);
    text
}

/// The bytes up to the start of a last character that is not whole.
fn n_whole(bytes: &[u8]) -> usize {
    let Some(last) = bytes.utf8_chunks().last() else { return 0 };
    let tail = last.invalid();
    let incomplete = std::str::from_utf8(tail).is_err_and(|e| e.error_len().is_none());
    bytes.len() - if incomplete { tail.len() } else { 0 }
}

/// The text of bytes that may end within a character, which is left out.
pub fn whole_characters(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..n_whole(bytes)]).into_owned()
}
