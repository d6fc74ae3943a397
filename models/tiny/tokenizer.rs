//! Tokenizers of the two kinds that the real models have, trained on a page of our own text.
//!
//! Llama 3's kind works on bytes and keeps its special tokens at the end of the vocabulary;
//! Mistral's works on characters with `▁` for a space, falls back to `<0x..>` tokens, and keeps
//! its special tokens at the start. Merges come from the `tokenizers` crate's own trainer; only the
//! order of the vocabulary is arranged here, to be that of the real files.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::{ModelWrapper, Tokenizer};

use crate::config::Architecture;
use crate::error::{Error, Result};

/// What the merges are learnt from.
const TEXT: &str = include_str!("text.txt");

/// Tokens of every tiny vocabulary, special ones included.
const N_TOKENS: usize = 1024;

const LLAMA_SPECIAL: [&str; 5] = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
];

const LLAMA_TEMPLATE: &str = "{{ bos_token }}{% for message in messages %}\
    {{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' \
    + message['content'] | trim + '<|eot_id|>' }}{% endfor %}\
    {% if add_generation_prompt %}\
    {{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}";

const MISTRAL_SPECIAL: [&str; 3] = ["<unk>", "<s>", "</s>"];

const MISTRAL_TEMPLATE: &str = "{{ bos_token }}{% for message in messages %}\
    {% if message['role'] == 'user' and loop.index0 % 2 == 0 %}\
    {{ '[INST] ' + message['content'] + ' [/INST]' }}\
    {% elif message['role'] == 'assistant' and loop.index0 % 2 == 1 %}\
    {{ ' ' + message['content'] + eos_token }}\
    {% else %}{{ raise_exception('Turns of user and assistant must alternate, the user first; \
    there is no system turn.') }}{% endif %}{% endfor %}";

/// A tokenizer and what the other files say about it.
pub(super) struct Words {
    /// `tokenizer.json`.
    pub(super) tokenizer: Value,
    /// Tokens in it.
    pub(super) n_tokens: usize,
    /// Begins a sequence.
    pub(super) bos: u32,
    /// Ends an answer, by `config.json`.
    pub(super) eos: u32,
    /// Ends an answer, by `generation_config.json`.
    pub(super) all_eos: Vec<u32>,
    template: &'static str,
    special: &'static [&'static str],
}

impl Words {
    /// `tokenizer_config.json`.
    pub(super) fn settings(&self, max_context: usize) -> Value {
        let is_llama = self.special.len() == LLAMA_SPECIAL.len();
        let (bos, eos) = if is_llama {
            (LLAMA_SPECIAL[0], LLAMA_SPECIAL[4])
        } else {
            (MISTRAL_SPECIAL[1], MISTRAL_SPECIAL[2])
        };
        json!({
            "bos_token": bos,
            "eos_token": eos,
            "chat_template": self.template,
            "clean_up_tokenization_spaces": false,
            "model_max_length": max_context,
            "tokenizer_class": "PreTrainedTokenizerFast",
        })
    }
}

/// The tokenizer of an architecture.
pub(super) fn train(architecture: Architecture) -> Result<Words> {
    match architecture {
        Architecture::Llama => train_llama(),
        Architecture::Mistral | Architecture::Mixtral => train_mistral(),
    }
}

fn train_llama() -> Result<Words> {
    let n_trained = N_TOKENS - LLAMA_SPECIAL.len();
    let mut trainer = BpeTrainer::builder().show_progress(false).vocab_size(n_trained);
    trainer = trainer.initial_alphabet(ByteLevel::alphabet().into_iter().collect());
    let splitter = ByteLevel::new(false, true, true);
    let (mut pieces, merges) = merges(trainer.build(), splitter.into())?;
    let first_special = pieces.len();
    pieces.extend(LLAMA_SPECIAL.map(str::to_owned));
    let id = |i: usize| token_id(first_special + i);
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added(&LLAMA_SPECIAL, first_special),
        "normalizer": null,
        "pre_tokenizer": {
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true
        },
        "post_processor": begin_with(LLAMA_SPECIAL[0], id(0)),
        "decoder": {
            "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true
        },
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": true, "vocab": vocab(&pieces), "merges": merges,
        },
    });
    Ok(Words {
        tokenizer,
        n_tokens: pieces.len(),
        bos: id(0),
        eos: id(4),
        all_eos: vec![id(1), id(4)],
        template: LLAMA_TEMPLATE,
        special: &LLAMA_SPECIAL,
    })
}

fn train_mistral() -> Result<Words> {
    let n_trained = N_TOKENS - MISTRAL_SPECIAL.len() - 256;
    let trainer = BpeTrainer::builder().show_progress(false).vocab_size(n_trained).build();
    let splitter = Metaspace::new('▁', PrependScheme::Always, true);
    let (trained, merges) = merges(trainer, splitter.into())?;
    let special = MISTRAL_SPECIAL.map(str::to_owned);
    let bytes = (0..=255).map(|byte: u8| format!("<0x{byte:02X}>"));
    let pieces: Vec<String> = special.into_iter().chain(bytes).chain(trained).collect();
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added(&MISTRAL_SPECIAL, 0),
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "Prepend", "prepend": "▁" },
            { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
        ]},
        "pre_tokenizer": null,
        "post_processor": begin_with(MISTRAL_SPECIAL[1], 1),
        "decoder": { "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
            { "type": "ByteFallback" },
            { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
        ]},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": "<unk>",
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
            "byte_fallback": true, "ignore_merges": false, "vocab": vocab(&pieces),
            "merges": merges,
        },
    });
    Ok(Words {
        tokenizer,
        n_tokens: pieces.len(),
        bos: 1,
        eos: 2,
        all_eos: vec![2],
        template: MISTRAL_TEMPLATE,
        special: &MISTRAL_SPECIAL,
    })
}

/// Learns merges from the text: the pieces by id, and the pairs in the order of their learning.
fn merges(trainer: BpeTrainer, splitter: PreTokenizerWrapper) -> Result<(Vec<String>, Value)> {
    let failed = |what: String| Error::Options(format!("cannot train a tiny tokenizer: {what}"));
    let mut tokenizer = Tokenizer::new(ModelWrapper::BPE(BPE::default()));
    tokenizer.with_pre_tokenizer(Some(splitter));
    tokenizer
        .train(&mut TrainerWrapper::BpeTrainer(trainer), TEXT.lines())
        .map_err(|error| failed(error.to_string()))?;
    let by_piece: HashMap<String, u32> = tokenizer.get_vocab(false);
    let mut by_id: Vec<(u32, String)> = by_piece.into_iter().map(|(p, id)| (id, p)).collect();
    by_id.sort_unstable();
    let mut model =
        serde_json::to_value(tokenizer.get_model()).map_err(|error| failed(error.to_string()))?;
    Ok((by_id.into_iter().map(|(_, piece)| piece).collect(), model["merges"].take()))
}

fn vocab(pieces: &[String]) -> Value {
    let ids = pieces.iter().enumerate();
    Value::Object(ids.map(|(id, piece)| (piece.clone(), json!(id))).collect::<Map<_, _>>())
}

fn added(special: &[&str], first_id: usize) -> Value {
    let entry = |(i, content): (usize, &&str)| {
        json!({
            "id": first_id + i, "content": content, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true
        })
    };
    Value::Array(special.iter().enumerate().map(entry).collect())
}

/// A post-processor that begins every sequence with one token.
fn begin_with(token: &str, id: u32) -> Value {
    let special = |kind: u32| json!({ "SpecialToken": { "id": token, "type_id": kind } });
    let sequence = |name: &str, kind: u32| json!({ "Sequence": { "id": name, "type_id": kind } });
    let mut entry = Map::new();
    entry.insert(token.to_owned(), json!({ "id": token, "ids": [id], "tokens": [token] }));
    json!({
        "type": "TemplateProcessing",
        "single": [special(0), sequence("A", 0)],
        "pair": [special(0), sequence("A", 0), special(1), sequence("B", 1)],
        "special_tokens": entry,
    })
}

fn token_id(index: usize) -> u32 {
    u32::try_from(index).expect("a tiny vocabulary has few tokens")
}
