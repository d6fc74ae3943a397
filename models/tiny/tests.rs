//! What is written reads back as the real formats do, and is the same every time.

use tokenizers::Tokenizer;

use super::*;

fn digest(folder: &Path) -> Vec<(String, blake3::Hash)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|e| (e.file_name().into_string().unwrap(), blake3::hash(&fs::read(e.path()).unwrap())))
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

#[test]
fn same_shape_and_seed_give_the_same_bytes() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let shape = Shape::named("mixtral").unwrap();
    write(&shape, 3, &at("a")).unwrap();
    write(&shape, 3, &at("b")).unwrap();
    write(&shape, 4, &at("c")).unwrap();
    assert_eq!(digest(&at("a")), digest(&at("b")));
    assert_ne!(digest(&at("a")), digest(&at("c")));
    assert!(write(&shape, 3, &at("a")).is_err(), "a folder is never written over");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3, "no draft is left");
}

#[test]
fn cached_writes_once() {
    let root = tempfile::tempdir().unwrap();
    let shape = Shape::named("llama").unwrap();
    let first = cached(&shape, 7, root.path()).unwrap();
    let before = digest(&first);
    assert_eq!(cached(&shape, 7, root.path()).unwrap(), first);
    assert_eq!(digest(&first), before);
    let judge = cached(&Shape::named("judge").unwrap(), 7, root.path()).unwrap();
    let shard = "model-00001-of-00002.safetensors";
    assert_ne!(fs::read(first.join(shard)).unwrap(), fs::read(judge.join(shard)).unwrap());
}

#[test]
fn configurations_read_back() {
    let root = tempfile::tempdir().unwrap();
    for name in ["llama", "judge", "mistral", "mixtral", "llama-wide"] {
        let shape = Shape::named(name).unwrap();
        let folder = cached(&shape, 1, root.path()).unwrap();
        let read = ModelConfig::read(&folder).unwrap();
        let ModelConfig { bos, eos, dtype, .. } = read.clone();
        assert!(bos.is_some() && !eos.is_empty());
        assert_eq!(read, ModelConfig { bos, eos, dtype, ..shape.config });
        assert_eq!(dtype, Some(shape.stored));
    }
}

#[test]
fn tokenizers_keep_text_and_begin_with_bos() {
    let root = tempfile::tempdir().unwrap();
    for name in ["llama", "mistral"] {
        let folder = cached(&Shape::named(name).unwrap(), 1, root.path()).unwrap();
        let config = ModelConfig::read(&folder).unwrap();
        let tokenizer = Tokenizer::from_file(folder.join("tokenizer.json")).unwrap();
        assert_eq!(tokenizer.get_vocab_size(true), config.vocab_size, "{name}");
        for text in ["What is 2 + 2?", "  two  spaces", "naïve → 漢字 🙂\n\tend"] {
            let ids = tokenizer.encode(text, true).unwrap().get_ids().to_vec();
            assert_eq!(Some(ids[0]), config.bos, "{name}");
            assert_eq!(tokenizer.decode(&ids, true).unwrap(), text, "{name}");
        }
        let words = tokenizer.encode("Read the instruction and the answers below it.", false);
        assert!(words.unwrap().len() < 16, "{name} has learnt whole words");
    }
}
