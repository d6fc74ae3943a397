//! Checkpoints as they come: every format, tied and untied, one file and shards; and every way in
//! which one can be broken, each with an error that names the file, the tensor and both values.

#![allow(clippy::unwrap_used, reason = "clippy lets #[test] functions unwrap, but not helpers")]

mod support;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};
use stillroom_models::stored::Stored;
use stillroom_models::tiny::{self, Shape};
use stillroom_models::{CopyCache, LoadOptions, ModelKey, Quant, estimate, inspect, load};
use support::Bench;

const PROMPT: [u32; 5] = [3, 141, 592, 653, 589];

/// A checkpoint to be changed or broken.
struct Fixture {
    _root: tempfile::TempDir,
    folder: PathBuf,
}

impl Fixture {
    fn new(shape: &Shape) -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("model");
        tiny::write(shape, 2, &folder).unwrap();
        Self { _root: root, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn load_error(&self) -> String {
        let options = LoadOptions::new(Device::Cpu);
        let error = load(&self.folder, &options, &mut |_| ()).unwrap_err().to_string();
        let planned = estimate(&self.folder, &options).unwrap_err().to_string();
        assert_eq!(error, planned, "the plan finds what loading finds");
        assert!(inspect(&self.folder).is_err());
        error
    }

    fn edit_config(&self, edit: impl Fn(&mut Value)) {
        let path = self.path("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut config);
        fs::write(path, config.to_string()).unwrap();
    }
}

fn logits(folder: &Path, quantize: Option<Quant>) -> Vec<f32> {
    let mut bench = Bench::load(folder, quantize);
    let mut seq = bench.sequence(PROMPT.len());
    bench.run_last(&mut [(&mut seq, &PROMPT)]).remove(0)
}

fn shape(name: &str) -> Shape {
    Shape::named(name).unwrap()
}

/// Rewrites all shards as one f32 file in another folder, with the numbers widened by candle.
fn widened(fixture: &Fixture) -> Fixture {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("widened");
    fs::create_dir(&folder).unwrap();
    let mut tensors = HashMap::new();
    for entry in fs::read_dir(&fixture.folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "safetensors") {
            for (name, tensor) in candle_core::safetensors::load(&path, &Device::Cpu).unwrap() {
                tensors.insert(name, tensor.to_dtype(DType::F32).unwrap());
            }
        }
    }
    candle_core::safetensors::save(&tensors, folder.join("model.safetensors")).unwrap();
    fs::copy(fixture.path("config.json"), folder.join("config.json")).unwrap();
    Fixture { _root: root, folder }
}

#[test]
fn half_precision_counts_as_its_widened_self() {
    for stored in Stored::ALL {
        for is_tied in [false, true] {
            let mut shape = shape("llama");
            shape.stored = stored;
            shape.config.tied = is_tied;
            shape.n_shards = if is_tied { 1 } else { 3 };
            let fixture = Fixture::new(&shape);
            let wide = widened(&fixture);
            assert_eq!(logits(&fixture.folder, None), logits(&wide.folder, None));
            let quant = Some(Quant::Q8_0);
            assert_eq!(logits(&fixture.folder, quant), logits(&wide.folder, quant));
        }
    }
}

#[test]
fn a_missing_shard_is_named() {
    let fixture = Fixture::new(&shape("mixtral"));
    fs::remove_file(fixture.path("model-00002-of-00002.safetensors")).unwrap();
    let error = fixture.load_error();
    assert!(error.contains("1 of 2 shards missing: model-00002-of-00002.safetensors"), "{error}");
}

#[test]
fn a_truncated_shard_tells_both_lengths() {
    let fixture = Fixture::new(&shape("llama"));
    let path = fixture.path("model-00001-of-00002.safetensors");
    let whole = fs::read(&path).unwrap();
    for n in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..n]).unwrap();
        let error = fixture.load_error();
        assert!(error.contains("model-00001-of-00002.safetensors"), "{error}");
        if n > 7 {
            assert!(error.contains(&format!("truncated: it has {n} bytes")), "{error}");
        }
    }
    fs::write(&path, [&[0xff; 8], &whole[8..]].concat()).unwrap();
    assert!(fixture.load_error().contains("no usable safetensors header"));
}

#[test]
fn misshapen_and_missing_tensors_tell_found_and_wanted() {
    let fixture = Fixture::new(&shape("llama"));
    fixture.edit_config(|config| config["intermediate_size"] = json!(200));
    let error = fixture.load_error();
    assert!(error.contains("mlp.gate_proj.weight\" has shape [192, 64]"), "{error}");
    assert!(error.contains("config.json wants [200, 64]"), "{error}");

    let fixture = Fixture::new(&shape("llama"));
    fixture.edit_config(|config| config["num_hidden_layers"] = json!(3));
    let error = fixture.load_error();
    assert!(error.contains("no tensor \"model.layers.2."), "{error}");
    assert!(error.contains("wanted with shape [64]"), "{error}");
}

#[test]
fn integers_are_no_weights() {
    let fixture = widened(&Fixture::new(&shape("llama")));
    let path = fixture.path("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    let norm = Tensor::ones(64, DType::I64, &Device::Cpu).unwrap();
    tensors.insert("model.norm.weight".to_owned(), norm);
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let error = fixture.load_error();
    assert!(error.contains("\"model.norm.weight\" is stored as I64; F32, F16 and BF16"), "{error}");
}

#[test]
fn an_index_cannot_point_out_of_its_folder() {
    let fixture = Fixture::new(&shape("llama"));
    let index = json!({ "weight_map": { "lm_head.weight": "../elsewhere.safetensors" } });
    fs::write(fixture.path("model.safetensors.index.json"), index.to_string()).unwrap();
    assert!(fixture.load_error().contains("places tensor \"lm_head.weight\""));
    fs::remove_file(fixture.path("model.safetensors.index.json")).unwrap();
    assert!(fixture.load_error().contains("only safetensors are read"));
}

#[test]
fn fallbacks_are_told() {
    let fixture = Fixture::new(&shape("llama"));
    let notes = |quantize| {
        let options = LoadOptions { quantize, ..LoadOptions::new(Device::Cpu) };
        let notes = load(&fixture.folder, &options, &mut |_| ()).unwrap().notes;
        assert_eq!(estimate(&fixture.folder, &options).unwrap().notes, notes);
        notes
    };
    assert_eq!(notes(None), [""; 0]);
    assert_eq!(notes(Some(Quant::Q8_0)), [""; 0]);
    let notes = notes(Some(Quant::Q4K));
    assert!(notes[0].contains("held as q8_0 instead of q4_k: their rows of 64"), "{notes:?}");
}

#[test]
fn a_quantised_copy_is_kept_used_and_checked() {
    let fixture = Fixture::new(&shape("llama-wide"));
    let key = ModelKey::of(&fixture.folder, None).unwrap();
    let copies = CopyCache { folder: fixture.path("copies"), key };
    let path = copies.path(Quant::Q4K);
    let options = LoadOptions {
        quantize: Some(Quant::Q4K),
        copies: Some(copies),
        ..LoadOptions::new(Device::Cpu)
    };
    let run = || {
        let loaded = load(&fixture.folder, &options, &mut |_| ()).unwrap();
        assert_eq!(loaded.notes, [""; 0]);
        let mut bench = Bench::new(loaded.model);
        let mut seq = bench.sequence(PROMPT.len());
        bench.run_last(&mut [(&mut seq, &PROMPT)]).remove(0)
    };
    let first = run();
    assert_eq!(first, logits(&fixture.folder, Some(Quant::Q4K)));
    let copy = fs::read(&path).unwrap();
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(run(), first, "from the copy");
    let rewritten = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(rewritten, written, "every piece came from it");

    // One bit of the last piece, half a file, nonsense: each is noticed and written anew.
    let mut flipped = copy.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [flipped, copy[..copy.len() / 2].to_vec(), b"no copy".to_vec()] {
        fs::write(&path, damaged).unwrap();
        assert_eq!(run(), first, "from the checkpoint again");
        assert_eq!(fs::read(&path).unwrap().len(), copy.len(), "and the copy is whole again");
    }
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");

    // A folder that cannot be written costs the copy, not the run.
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path.parent().unwrap(), "in the way").unwrap();
    let loaded = load(&fixture.folder, &options, &mut |_| ()).unwrap();
    assert!(loaded.notes[0].contains("the quantised copy is not kept"), "{:?}", loaded.notes);
}

#[test]
fn weights_that_are_no_numbers_are_found_when_quantised() {
    let fixture = widened(&Fixture::new(&shape("llama")));
    let path = fixture.path("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    let name = "model.layers.1.mlp.up_proj.weight";
    let weights = Tensor::full(f32::NAN, (192, 64), &Device::Cpu).unwrap();
    tensors.insert(name.to_owned(), weights);
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let options = LoadOptions { quantize: Some(Quant::Q8_0), ..LoadOptions::new(Device::Cpu) };
    let error = load(&fixture.folder, &options, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains(name), "{error}");
}

#[test]
fn progress_ends_at_all_parameters() {
    let fixture = Fixture::new(&shape("mixtral"));
    let mut seen = Vec::new();
    load(&fixture.folder, &LoadOptions::new(Device::Cpu), &mut |p| seen.push(p)).unwrap();
    assert!(seen.windows(2).all(|pair| pair[0].n_done < pair[1].n_done));
    let last = seen.last().unwrap();
    assert_eq!((last.n_done, last.n_params), (shape("mixtral").config.n_params(), last.n_done));
}

#[test]
fn cards_tell_what_the_files_hold() {
    let fixture = Fixture::new(&shape("mistral"));
    let card = inspect(&fixture.folder).unwrap();
    assert_eq!(card.architecture, "MistralForCausalLM");
    assert_eq!(card.formats, ["bfloat16"]);
    assert_eq!(card.shards.len(), 2);
    assert_eq!((card.sliding_window, card.max_context), (Some(24), 8192));
    assert_eq!((card.kv_bytes_per_token_16, card.kv_bytes_per_token_32), (256, 512));
    assert_eq!(card.n_params, shape("mistral").config.n_params());
    assert!(card.has_tokenizer && card.has_template);
    fs::remove_file(fixture.path("tokenizer_config.json")).unwrap();
    assert!(!inspect(&fixture.folder).unwrap().has_template);
    let estimate = estimate(&fixture.folder, &LoadOptions::new(Device::Cpu)).unwrap();
    assert!(estimate.weight_bytes > 3 * card.n_params, "f32, but for the table");
}
