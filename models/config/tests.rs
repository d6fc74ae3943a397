//! Real configurations by their published counts, every spelling, and every refusal by its words.

use candle_core::DType;
use serde_json::{Value, json};

use super::*;

const LLAMA_3_8B: &str = r#"{
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": false,
    "hidden_act": "silu", "torch_dtype": "bfloat16", "rms_norm_eps": 1e-05,
    "vocab_size": 128256, "bos_token_id": 128000, "eos_token_id": 128009,
    "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 8192,
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
    "rope_scaling": null, "rope_theta": 500000.0, "tie_word_embeddings": false
}"#;

const MIXTRAL_8X7B: &str = r#"{
    "architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "hidden_act": "silu",
    "rms_norm_eps": 1e-05, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
    "bos_token_id": 1, "eos_token_id": 2, "hidden_size": 4096, "intermediate_size": 14336,
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
    "max_position_embeddings": 32768, "rope_theta": 1000000.0, "sliding_window": null,
    "vocab_size": 32000, "num_experts_per_tok": 2, "num_local_experts": 8
}"#;

fn read(text: &str) -> Result<ModelConfig> {
    let folder = tempfile::tempdir().expect("temporary folder");
    std::fs::write(folder.path().join("config.json"), text).expect("write");
    ModelConfig::read(folder.path())
}

/// Llama-3-8B with some keys replaced; a key set to the text "absent" is taken out.
fn llama_with(changes: Value) -> Result<ModelConfig> {
    changed(LLAMA_3_8B, changes)
}

fn changed(base: &str, changes: Value) -> Result<ModelConfig> {
    let mut config: Value = serde_json::from_str(base).expect("base");
    let map = config.as_object_mut().expect("object");
    for (key, value) in changes.as_object().expect("object") {
        if value == "absent" {
            map.remove(key);
        } else {
            map.insert(key.clone(), value.clone());
        }
    }
    read(&config.to_string())
}

fn refused(changes: Value, words: &str) {
    let error = llama_with(changes.clone()).expect_err("must be refused").to_string();
    assert!(error.contains(words), "{changes}: {error}");
}

#[test]
fn published_parameter_counts() {
    let llama = read(LLAMA_3_8B).unwrap();
    assert_eq!(llama.n_params(), 8_030_261_248);
    assert_eq!(llama.n_active_params(), 8_030_261_248);
    assert_eq!(llama.kv_bytes_per_token(DType::BF16), 131_072);
    let mixtral = read(MIXTRAL_8X7B).unwrap();
    assert_eq!(mixtral.n_params(), 46_702_792_704);
    assert_eq!(mixtral.n_active_params(), 12_879_925_248);
    assert_eq!(mixtral.sliding_window, None);
    assert_eq!(mixtral.experts, Some(Experts { n: 8, n_per_token: 2 }));
}

#[test]
fn tied_heads_count_once() {
    let config = llama_with(json!({"tie_word_embeddings": true})).unwrap();
    assert_eq!(config.n_params(), 8_030_261_248 - 128_256 * 4096);
}

#[test]
fn a_window_is_absent_null_or_a_number() {
    let mistral = json!({"architectures": ["MistralForCausalLM"]});
    let with = |window: Value| {
        let mut changes = mistral.clone();
        changes["sliding_window"] = window;
        llama_with(changes).unwrap().sliding_window
    };
    assert_eq!(with(json!("absent")), Some(4096));
    assert_eq!(with(Value::Null), None);
    assert_eq!(with(json!(48)), Some(48));
    assert_eq!(llama_with(json!({"sliding_window": 48})).unwrap().sliding_window, None);
}

#[test]
fn rope_in_every_spelling() {
    let llama3 = json!({
        "factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192
    });
    let wanted = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 8192,
    };
    for key in ["type", "rope_type"] {
        let mut scaling = llama3.clone();
        scaling[key] = json!("llama3");
        let older = llama_with(json!({"rope_scaling": scaling})).unwrap();
        assert_eq!(older.rope, Rope { theta: 5e5, scaling: wanted });
        scaling["rope_theta"] = json!(7e5);
        let changes = json!({"rope_parameters": scaling, "rope_theta": "absent"});
        assert_eq!(llama_with(changes).unwrap().rope, Rope { theta: 7e5, scaling: wanted });
    }
    let linear = llama_with(json!({"rope_scaling": {"type": "linear", "factor": 2}})).unwrap();
    assert_eq!(linear.rope.scaling, RopeScaling::Linear { factor: 2.0 });
    let plain = json!({"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}});
    assert_eq!(llama_with(plain).unwrap().rope.scaling, RopeScaling::Plain);
}

#[test]
fn eos_is_the_union_of_both_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), LLAMA_3_8B).unwrap();
    let generation = r#"{"eos_token_id": [128001, 128009]}"#;
    std::fs::write(folder.path().join("generation_config.json"), generation).unwrap();
    assert_eq!(ModelConfig::read(folder.path()).unwrap().eos, [128_009, 128_001]);

    assert_eq!(llama_with(json!({"eos_token_id": [1, 5]})).unwrap().eos, [1, 5]);
    assert_eq!(llama_with(json!({"eos_token_id": null})).unwrap().eos, [0; 0]);
    assert_eq!(llama_with(json!({"eos_token_id": "absent"})).unwrap().eos, [2]);
}

#[test]
fn heads_may_have_a_size_of_their_own() {
    assert_eq!(llama_with(json!({"head_dim": null})).unwrap().head_dim, 128);
    assert_eq!(llama_with(json!({"head_dim": 96})).unwrap().head_dim, 96);
    assert_eq!(llama_with(json!({"num_key_value_heads": "absent"})).unwrap().n_kv_heads, 32);
}

#[test]
fn refusals_name_key_value_and_wish() {
    refused(
        json!({"architectures": ["GPT2LMHeadModel"]}),
        "GPT2LMHeadModel is not known; known are LlamaForCausalLM, MistralForCausalLM",
    );
    refused(json!({"attention_bias": true}), "attention_bias is true");
    refused(json!({"hidden_act": "gelu"}), "hidden_act is \"gelu\"");
    refused(json!({"hidden_size": "wide"}), "hidden_size is \"wide\", wanted a whole number");
    refused(json!({"hidden_size": 0}), "hidden_size is 0");
    refused(json!({"hidden_size": "absent"}), "hidden_size is missing");
    refused(json!({"hidden_size": 4097}), "4097 is no multiple");
    refused(json!({"num_key_value_heads": 5}), "no multiple of num_key_value_heads 5");
    refused(json!({"head_dim": 65}), "head_dim 65 is odd");
    refused(json!({"torch_dtype": "int8"}), "torch_dtype is \"int8\"");
    refused(json!({"quantization_config": {"bits": 4}}), "already quantised");
    let yarn = json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}});
    refused(yarn, "type \"yarn\" is not supported; supported are default, linear and llama3");
    let error = changed(MIXTRAL_8X7B, json!({"num_experts_per_tok": 9})).unwrap_err();
    assert!(error.to_string().contains("num_experts_per_tok 9 exceeds num_local_experts 8"));
}

#[test]
fn an_absent_folder_and_a_gguf_folder_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = ModelConfig::read(folder.path().join("nowhere")).unwrap_err();
    assert!(error.to_string().contains("no such folder"));
    std::fs::write(folder.path().join("model.gguf"), b"GGUF").unwrap();
    let error = ModelConfig::read(folder.path()).unwrap_err();
    assert!(error.to_string().contains("GGUF file, which is not read"), "{error}");
    assert!(matches!(read("{").unwrap_err(), Error::Json { .. }));
}
