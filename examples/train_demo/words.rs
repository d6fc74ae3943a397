//! The vocabulary of the family: byte-level BPE, learnt from the texts of lessons.
//!
//! A digit is always a token of its own, as reckoning wants it; everything between digits may become
//! one token, so that what every prompt says costs a handful of them. Bytes spell the rest.

use serde_json::{Map, Value, json};
use stillroom::text::chat::Chat;
use stillroom::text::chat::render::SpecialTexts;
use stillroom::text::chat::template::fixed_time;
use stillroom::text::tokenizer::Tokenizer;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{ModelWrapper, SplitDelimiterBehavior};

use super::Result;

/// Tokens of the vocabulary, control tokens included.
pub(crate) const N_TOKENS: usize = 2048;

/// Control tokens, first in the vocabulary.
const SPECIAL: [&str; 5] = ["<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"];
/// Id of the token that begins a sequence.
pub(crate) const BEGIN: u32 = 0;
/// Id of the token that ends a turn.
pub(crate) const END: u32 = 1;

const TEMPLATE: &str = "{{ bos_token }}{% for message in messages %}\
    {{ '<|' + message['role'] + '|>' + message['content'] + eos_token }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

/// Learns the vocabulary from `texts`; returns `tokenizer.json`.
pub(crate) fn learn(texts: &[String]) -> Result<Value> {
    let trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(N_TOKENS - SPECIAL.len())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let splitter = Split::new(
        SplitPattern::Regex(r"\d|\D+".to_owned()),
        SplitDelimiterBehavior::Isolated,
        false,
    );
    let pieces: Vec<PreTokenizerWrapper> =
        vec![splitter?.into(), ByteLevel::new(false, true, false).into()];
    let mut tokenizer = tokenizers::Tokenizer::new(ModelWrapper::BPE(BPE::default()));
    tokenizer.with_pre_tokenizer(Some(Sequence::new(pieces)));
    let mut trainer = TrainerWrapper::BpeTrainer(trainer);
    tokenizer.train(&mut trainer, texts.iter().map(String::as_str))?;
    let mut by_id: Vec<(u32, String)> =
        tokenizer.get_vocab(false).into_iter().map(|(piece, id)| (id, piece)).collect();
    by_id.sort_unstable();
    let special = SPECIAL.iter().map(|&name| name.to_owned());
    let pieces = special.chain(by_id.into_iter().map(|(_, piece)| piece));
    let vocab: Map<String, Value> =
        pieces.enumerate().map(|(id, piece)| (piece, json!(id))).collect();
    let mut model = serde_json::to_value(tokenizer.get_model())?;
    Ok(file(Value::Object(vocab), model["merges"].take()))
}

fn file(vocab: Value, merges: Value) -> Value {
    let added = SPECIAL.iter().enumerate().map(|(id, content)| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true
        })
    });
    let begin = SPECIAL[BEGIN as usize];
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": null,
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": r"\d|\D+" }, "behavior": "Isolated", "invert": false },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false },
        ]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                { "SpecialToken": { "id": begin, "type_id": 0 } },
                { "Sequence": { "id": "A", "type_id": 0 } },
            ],
            "pair": [
                { "SpecialToken": { "id": begin, "type_id": 0 } },
                { "Sequence": { "id": "A", "type_id": 0 } },
                { "Sequence": { "id": "B", "type_id": 1 } },
            ],
            "special_tokens": { begin: { "id": begin, "ids": [BEGIN], "tokens": [begin] } },
        },
        "decoder": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false },
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": false, "vocab": vocab, "merges": merges,
        },
    })
}

/// `tokenizer_config.json`.
pub(crate) fn settings(max_context: usize) -> Value {
    json!({
        "bos_token": SPECIAL[BEGIN as usize],
        "eos_token": SPECIAL[END as usize],
        "chat_template": TEMPLATE,
        "clean_up_tokenization_spaces": false,
        "model_max_length": max_context,
        "tokenizer_class": "PreTrainedTokenizerFast",
    })
}

/// The tokenizer of a `tokenizer.json`.
pub(crate) fn tokenizer(file: &Value) -> Result<Tokenizer> {
    Ok(Tokenizer::from_json(file.to_string().as_bytes())?)
}

/// The template by which conversations are written.
pub(crate) fn chat() -> Chat {
    let special = SpecialTexts {
        bos: SPECIAL[BEGIN as usize].to_owned(),
        eos: SPECIAL[END as usize].to_owned(),
    };
    Chat::new(TEMPLATE, special, fixed_time()).expect("the template is well formed")
}
