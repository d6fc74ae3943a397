//! Two small vocabularies for tests, one of each family, trained on a few sentences of ours.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    TokenizerImpl,
};

use super::tokenizer::Tokenizer;

type Bpe = TokenizerImpl<
    BPE,
    NormalizerWrapper,
    PreTokenizerWrapper,
    PostProcessorWrapper,
    DecoderWrapper,
>;

const TEXT: &str = "The still stands in the cellar and gives a drop at a time.\n\
    Rating: 1\nRating: 2\nRating: 3\nRating: 4\nRating: 5\nRating: N/A\n\nRationale: good, clear.\n\
    She said: \"na\u{ef}ve caf\u{e9}s sell \u{65e5}\u{672c} tea\" - 42 cups, 7 pots; 100% { \"key\": [1, 2] }";

/// Byte-level, as Llama 3's: `<|begin|>` 0, `<|end|>` 1, then the bytes.
pub(crate) fn byte_level() -> Arc<Tokenizer> {
    static TOKENIZER: LazyLock<Arc<Tokenizer>> = LazyLock::new(|| parsed(&byte_level_json()));
    TOKENIZER.clone()
}

/// The file of [`byte_level`].
pub(crate) fn byte_level_json() -> Value {
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let specials = ["<|begin|>", "<|end|>"].map(|name| AddedToken::from(name, true));
    let mut trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(380)
        .initial_alphabet(alphabet.into_iter().collect())
        .special_tokens(specials.to_vec())
        .build();
    let mut tokenizer = Bpe::new(BPE::default());
    let bytes = ByteLevel::new(false, true, true);
    tokenizer.with_pre_tokenizer(Some(bytes)).with_post_processor(Some(bytes));
    tokenizer.with_decoder(Some(bytes));
    tokenizer.add_special_tokens(specials).expect("fresh names");
    tokenizer.train(&mut trainer, TEXT.lines()).expect("the text trains");
    let mut json = serde_json::to_value(&tokenizer).expect("a tokenizer is JSON");
    json["post_processor"] = bos("<|begin|>", 0);
    json
}

/// SentencePiece with byte fallback, as Llama 2's and Mistral's: `<unk>` 0, `<s>` 1, `</s>` 2,
/// then the bytes.
pub(crate) fn sentencepiece() -> Arc<Tokenizer> {
    static TOKENIZER: LazyLock<Arc<Tokenizer>> = LazyLock::new(|| parsed(&sentencepiece_json()));
    TOKENIZER.clone()
}

/// The same vocabulary with a token for a line break and one for two of them.
pub(crate) fn sentencepiece_with_line_breaks() -> Arc<Tokenizer> {
    let mut json = sentencepiece_json();
    let vocab = json["model"]["vocab"].as_object_mut().expect("a vocabulary");
    for token in ["\n", "\n\n"] {
        vocab.insert(token.to_owned(), json!(vocab.len()));
    }
    json["model"]["merges"].as_array_mut().expect("merges").push(json!(["\n", "\n"]));
    parsed(&json)
}

fn parsed(json: &Value) -> Arc<Tokenizer> {
    Arc::new(Tokenizer::from_json(json.to_string().as_bytes()).expect("a known kind"))
}

fn sentencepiece_json() -> Value {
    let mut trainer = BpeTrainer::builder().show_progress(false).vocab_size(160).build();
    let text = TEXT.chars().filter(|c| c.is_ascii()).collect::<String>().replace(' ', "\u{2581}");
    let words: Vec<String> =
        text.lines().flat_map(|l| l.split_inclusive('\u{2581}').map(str::to_owned)).collect();
    let mut model = Bpe::new(BPE::default());
    model.train(&mut trainer, words.iter()).expect("the text trains");
    let trained = serde_json::to_value(model.get_model()).expect("a model is JSON");
    let named = ["<unk>", "<s>", "</s>"].map(str::to_owned);
    let bytes = (0..=255u8).map(|byte| format!("<0x{byte:02X}>"));
    let mut learned: Vec<(String, u64)> = trained["vocab"]
        .as_object()
        .map(|map| map.iter().filter_map(|(k, id)| Some((k.clone(), id.as_u64()?))).collect())
        .unwrap_or_default();
    learned.sort_by_key(|(_, id)| *id);
    let tokens = named.into_iter().chain(bytes).chain(learned.into_iter().map(|(k, _)| k));
    let vocab: serde_json::Map<String, Value> =
        tokens.enumerate().map(|(id, token)| (token, json!(id))).collect();
    let added: Vec<Value> = ["<unk>", "<s>", "</s>"]
        .iter()
        .enumerate()
        .map(|(id, name)| {
            json!({ "id": id, "content": name, "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": true })
        })
        .collect();
    let space = "\u{2581}";
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "Prepend", "prepend": space },
            { "type": "Replace", "pattern": { "String": " " }, "content": space } ] },
        "pre_tokenizer": null,
        "post_processor": bos("<s>", 1),
        "decoder": { "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": space }, "content": " " },
            { "type": "ByteFallback" }, { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 } ] },
        "model": { "type": "BPE", "dropout": null, "unk_token": "<unk>",
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
            "byte_fallback": true, "ignore_merges": false, "vocab": vocab,
            "merges": trained["merges"] },
    })
}

/// The post-processor that puts BOS before a text.
fn bos(name: &str, id: u32) -> Value {
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    let mark = json!({ "SpecialToken": { "id": name, "type_id": 0 } });
    json!({
        "type": "TemplateProcessing", "single": [mark, text], "pair": [mark, text],
        "special_tokens": { name: { "id": name, "ids": [id], "tokens": [name] } },
    })
}
