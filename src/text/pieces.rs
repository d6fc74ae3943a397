//! The bytes that each token stands for.
//!
//! Both families of vocabularies that Llama and Mistral models use are reduced to one table:
//! byte-level BPE (Llama 3) spells bytes as printable characters, SentencePiece (Llama 2, Mistral)
//! writes spaces as `▁` and spells rare bytes as `<0xNN>`. Everything that must look inside a
//! token (detokenising, stop strings, grammars, end marks) reads this table, so that it works on
//! bytes and cannot be misled by where one token ends and the next begins.

use std::collections::HashMap;

use serde_json::Value;

/// The bytes of every id of one vocabulary.
#[derive(Debug)]
pub(super) struct Pieces {
    /// All bytes, one token after the other.
    bytes: Vec<u8>,
    /// `[ids + 1]` where each token's bytes start, then the end of the last.
    starts: Vec<usize>,
    /// `[ids]` control tokens, which are no part of a text.
    special: Vec<bool>,
    /// Whether a text loses one space at its start, because encoding has put one there.
    pub(super) strips_space: bool,
}

/// How a vocabulary spells bytes, read from the `decoder` of `tokenizer.json`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Spelling {
    byte_level: bool,
    byte_fallback: bool,
    /// The character that stands for a space.
    space: Option<char>,
    strips_space: bool,
}

impl Pieces {
    /// Builds the table of `tokens`, given by id: the token as the vocabulary spells it and
    /// whether it is a control token; an id without a token stands for nothing.
    ///
    /// # Errors
    /// When the decoder is of neither family.
    pub(super) fn build(
        tokens: &[Option<(String, bool)>],
        decoder: &Value,
    ) -> Result<Self, String> {
        let spelling = Spelling::read(decoder)?;
        let characters = byte_characters();
        let mut pieces = Self {
            bytes: Vec::new(),
            starts: vec![0],
            special: Vec::with_capacity(tokens.len()),
            strips_space: spelling.strips_space,
        };
        for token in tokens {
            let (text, special) = token.as_ref().map_or(("", false), |(text, s)| (text, *s));
            if special {
                pieces.bytes.extend_from_slice(text.as_bytes());
            } else {
                spelling.spell(text, &characters, &mut pieces.bytes);
            }
            pieces.starts.push(pieces.bytes.len());
            pieces.special.push(special);
        }
        Ok(pieces)
    }

    /// Highest id plus one.
    pub(super) fn n_ids(&self) -> usize {
        self.special.len()
    }

    /// Bytes of a token; of a control token, its name. Empty outside the vocabulary.
    pub(super) fn name(&self, id: u32) -> &[u8] {
        let id = id as usize;
        if id < self.n_ids() { &self.bytes[self.starts[id]..self.starts[id + 1]] } else { &[] }
    }

    /// What a token adds to a text: nothing for a control token.
    pub(super) fn bytes(&self, id: u32) -> &[u8] {
        if self.is_special(id) { &[] } else { self.name(id) }
    }

    /// Whether a token is a control token.
    pub(super) fn is_special(&self, id: u32) -> bool {
        self.special.get(id as usize).copied().unwrap_or(false)
    }
}

impl Spelling {
    fn read(decoder: &Value) -> Result<Self, String> {
        let mut spelling = Self::default();
        spelling.add(decoder);
        if spelling.byte_level || spelling.byte_fallback || spelling.space.is_some() {
            return Ok(spelling);
        }
        let found = decoder["type"].as_str().unwrap_or("none");
        Err(format!("its decoder is `{found}`; a byte-level or SentencePiece one is known here"))
    }

    /// Adds what one decoder, or each of a sequence of decoders, says.
    fn add(&mut self, decoder: &Value) {
        match decoder["type"].as_str() {
            Some("Sequence") => {
                decoder["decoders"].as_array().into_iter().flatten().for_each(|d| self.add(d));
            }
            Some("ByteLevel") => self.byte_level = true,
            Some("ByteFallback") => self.byte_fallback = true,
            Some("Replace") if decoder["content"] == " " => {
                self.space = decoder["pattern"]["String"].as_str().and_then(|s| s.chars().next());
            }
            Some("Strip") if decoder["content"] == " " => {
                self.strips_space |= decoder["start"].as_u64().is_some_and(|n| n > 0);
            }
            Some("Metaspace") => {
                self.space = decoder["replacement"].as_str().and_then(|s| s.chars().next());
                self.strips_space |= decoder["prepend_scheme"] != "never";
            }
            _ => {}
        }
    }

    /// Appends the bytes that `token` stands for.
    fn spell(self, token: &str, characters: &HashMap<char, u8>, out: &mut Vec<u8>) {
        if self.byte_level {
            // A token with a character outside the alphabet was added as it reads.
            let bytes: Option<Vec<u8>> =
                token.chars().map(|c| characters.get(&c).copied()).collect();
            out.extend_from_slice(bytes.as_deref().unwrap_or(token.as_bytes()));
            return;
        }
        if self.byte_fallback
            && let Some(byte) = fallback_byte(token)
        {
            out.push(byte);
            return;
        }
        for c in token.chars() {
            let c = if Some(c) == self.space { ' ' } else { c };
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// The byte of `<0xNN>`.
fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// GPT-2's alphabet: printable Latin-1 bytes stand for themselves, the others are numbered from
/// U+0100 on.
fn byte_characters() -> HashMap<char, u8> {
    let mut next = 0x100;
    (0..=255u8)
        .map(|byte| {
            let c = match byte {
                b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte),
                0..=b' ' | 0x7F..=0xA0 | 0xAD => {
                    next += 1;
                    char::from_u32(next - 1).expect("the alphabet ends at U+0143")
                }
            };
            (c, byte)
        })
        .collect()
}
