//! From the tables of a recipe to a draft: which keys there are and what each may hold.
//!
//! The keys are read one by one with their defaults, so that every fault is found in one pass.
//! Whether the values make sense together is [`super::check`]'s business.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::draft::{Draft, Drafted, Marks};
use super::fields::Fields;
use super::flow;
use super::graph::Graph;
use super::nearest::{did_you_mean, listed};
use super::place::{Findings, Place};
use super::source::{resolve_path, resolve_source};
use super::spec::{
    DropRefusals, DropTruncated, ExpandColumns, FilterOp, FilterRows, FormatTextGenerationDpo,
    Generation, GroupColumns, KeepColumns, LoadDataFromDicts, LoadDataFromFileSystem,
    LoadDataFromHub, MinHashDedup, ModelSpec, Named, PreferenceToArgilla, PushToHub, SelfInstruct,
    Step, TextGeneration, UltraFeedback,
};
use super::tree::{Node, Table, Value};
use super::values::OneOrMany;

/// What the reader has to know besides the tables.
pub(super) struct Context<'a> {
    /// The whole text, to find the flow's words in it.
    pub(super) text: &'a str,
    /// The recipe's folder: relative paths of the file are seen from there.
    pub(super) folder: &'a Path,
    /// The name of a recipe that gives itself none.
    pub(super) default_name: &'a str,
}

/// Reads the top of a recipe.
pub(super) fn draft(root: &Table, context: &Context<'_>, found: &mut Findings) -> Draft {
    let mut top = Fields::new(String::new(), root, Place::File(0..0), found);
    let name = top.or("name", context.default_name.to_owned());
    let seed = top.or("seed", 0);
    let deterministic = top.or("deterministic", true);
    let test_share = top.or("test_share", 0.0);
    let graph = read_flow(&mut top, context);
    let models = read_named(&mut top, "models", |fields| Some(read_model(fields, context)));
    let steps = read_named(&mut top, "steps", |fields| read_step(fields, context));
    let marks = top.finish();
    Draft { name, seed, deterministic, test_share, models, steps, graph, marks }
}

fn read_flow(top: &mut Fields<'_>, context: &Context<'_>) -> Graph {
    let mut graph = Graph::default();
    let Some(node) = top.node("flow") else {
        let hint = "add `flow = \"load >> answer >> ...\"`: the order of the steps".to_owned();
        top.found.add(&Place::File(0..0), "`flow` is missing", Some(hint));
        top.marks.wrong.insert("flow".to_owned());
        return graph;
    };
    let chains = match &node.value {
        Value::Array(chains) => chains.as_slice(),
        Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Table(_) => std::slice::from_ref(node),
    };
    for chain in chains {
        let Value::String(text) = &chain.value else {
            let what = chain.value.describe();
            let message = format!("`flow` is a text or a list of texts, not {what}");
            top.found.add(&chain.place, message, None);
            top.marks.wrong.insert("flow".to_owned());
            continue;
        };
        let place_of = |at| place_in(chain, text, at, context.text);
        if let Err(stumble) = flow::parse(text, &mut graph, &place_of) {
            top.found.add(&place_of(stumble.at), stumble.message, stumble.hint);
            top.marks.wrong.insert("flow".to_owned());
        }
    }
    graph
}

/// Bytes `at` of a string's content, as bytes of the file: exact where the content stands in the
/// file as it is, the whole string where escapes shift it.
fn place_in(node: &Node, content: &str, at: std::ops::Range<usize>, file: &str) -> Place {
    let Place::File(span) = &node.place else { return node.place.clone() };
    match file.get(span.clone()).and_then(|raw| raw.find(content)) {
        Some(offset) => {
            let start = span.start + offset;
            Place::File(start + at.start..start + at.end)
        }
        None => node.place.clone(),
    }
}

/// Reads the tables under `key`, each by its name.
fn read_named<T>(
    top: &mut Fields<'_>,
    key: &'static str,
    mut read: impl FnMut(&mut Fields<'_>) -> Option<T>,
) -> Named<Drafted<T>> {
    let Some(node) = top.node(key) else { return Vec::new() };
    let Value::Table(tables) = &node.value else {
        let message = format!("`{key}` is a table of tables, not {}", node.value.describe());
        top.found.add(&node.place, message, None);
        top.marks.wrong.insert(key.to_owned());
        return Vec::new();
    };
    let mut named = Vec::new();
    for entry in tables {
        let path = format!("{key}.{}", entry.key);
        let Value::Table(table) = &entry.node.value else {
            let message = format!("`{path}` is a table, not {}", entry.node.value.describe());
            top.found.add(&entry.node.place, message, None);
            let mut marks = Marks::nowhere(path);
            marks.place = entry.key_place.clone();
            named.push((entry.key.clone(), Drafted { value: None, marks }));
            continue;
        };
        let mut fields = Fields::new(path, table, entry.key_place.clone(), top.found);
        let value = read(&mut fields);
        let marks = if value.is_some() { fields.finish() } else { fields.marks };
        named.push((entry.key.clone(), Drafted { value, marks }));
    }
    named
}

/// A path of the file is seen from the recipe's folder, one of `--set` from the working folder.
fn folder_of<'a>(fields: &Fields<'_>, key: &str, context: &Context<'a>) -> &'a Path {
    if matches!(fields.place_of(key), Place::Set(_)) { Path::new("") } else { context.folder }
}

fn read_path(fields: &Fields<'_>, key: &str, text: &str, context: &Context<'_>) -> PathBuf {
    resolve_path(Path::new(text), folder_of(fields, key, context))
}

fn read_model(fields: &mut Fields<'_>, context: &Context<'_>) -> ModelSpec {
    let text: String = fields.required("source");
    let defaults = ModelSpec::new(resolve_source(&text, folder_of(fields, "source", context)));
    ModelSpec {
        revision: fields.or("revision", defaults.revision),
        quantize: fields.or("quantize", defaults.quantize),
        source: defaults.source,
    }
}

fn read_step(fields: &mut Fields<'_>, context: &Context<'_>) -> Option<Step> {
    if fields.node("type").is_none() {
        let message = format!("{} is missing", fields.marks.name("type"));
        let hint = format!("step types are {}", listed(Step::TYPES));
        fields.found.add(&fields.marks.place, message, Some(hint));
        return None;
    }
    let kind: String = fields.optional("type")?;
    Some(match kind.as_str() {
        "LoadDataFromDicts" => LoadDataFromDicts { data: fields.required("data") }.into(),
        "LoadDataFromFileSystem" => read_file_loader(fields, context).into(),
        "LoadDataFromHub" => read_hub_loader(fields).into(),
        "SelfInstruct" => read_self_instruct(fields).into(),
        "ExpandColumns" => ExpandColumns { columns: fields.required("columns") }.into(),
        "KeepColumns" => KeepColumns { columns: fields.required("columns") }.into(),
        "TextGeneration" => read_text_generation(fields).into(),
        "GroupColumns" | "CombineColumns" => read_group(fields).into(),
        "FilterRows" => read_filter(fields).into(),
        "DropRefusals" => read_refusals(fields).into(),
        "DropTruncated" => read_truncated(fields).into(),
        "MinHashDedup" => read_dedup(fields).into(),
        "UltraFeedback" => read_judge(fields, context).into(),
        "FormatTextGenerationDPO" => read_pairs(fields, context).into(),
        "PreferenceToArgilla" => read_argilla(fields).into(),
        "PushToHub" => read_push(fields).into(),
        _ => {
            let message = format!("`{kind}` is no step type");
            let hint = did_you_mean(&kind, Step::TYPES);
            let place = fields.place_of("type").clone();
            fields.found.add(&place, message, hint);
            return None;
        }
    })
}

fn read_file_loader(fields: &mut Fields<'_>, context: &Context<'_>) -> LoadDataFromFileSystem {
    let text: String = fields.required("path");
    LoadDataFromFileSystem {
        path: read_path(fields, "path", &text, context),
        num_examples: fields.optional("num_examples"),
        columns: fields.or("columns", BTreeMap::new()),
    }
}

fn read_hub_loader(fields: &mut Fields<'_>) -> LoadDataFromHub {
    let defaults = LoadDataFromHub::new(fields.required::<String>("repo_id"));
    LoadDataFromHub {
        split: fields.or("split", defaults.split),
        config: fields.optional("config"),
        revision: fields.or("revision", defaults.revision),
        num_examples: fields.optional("num_examples"),
        streaming: fields.or("streaming", defaults.streaming),
        columns: fields.or("columns", defaults.columns),
        repo_id: defaults.repo_id,
    }
}

fn read_self_instruct(fields: &mut Fields<'_>) -> SelfInstruct {
    let defaults = SelfInstruct::new(fields.required::<String>("model"));
    SelfInstruct {
        num_instructions: fields.or("num_instructions", defaults.num_instructions),
        criteria_for_query_generation: fields.optional("criteria_for_query_generation"),
        application_description: fields
            .or("application_description", defaults.application_description),
        generation: read_generation(fields, defaults.generation),
        model: defaults.model,
    }
}

fn read_text_generation(fields: &mut Fields<'_>) -> TextGeneration {
    let defaults = TextGeneration::new(fields.required::<String>("model"));
    TextGeneration {
        system_prompt: fields.optional("system_prompt"),
        template: fields.or("template", defaults.template),
        columns: fields.or("columns", OneOrMany(defaults.columns)).0,
        num_generations: fields.or("num_generations", defaults.num_generations),
        group_generations: fields.or("group_generations", defaults.group_generations),
        generation: read_generation(fields, defaults.generation),
        model: defaults.model,
    }
}

fn read_group(fields: &mut Fields<'_>) -> GroupColumns {
    GroupColumns {
        columns: fields.required("columns"),
        output_columns: fields.optional("output_columns"),
        min_generations: fields.optional("min_generations"),
    }
}

fn read_filter(fields: &mut Fields<'_>) -> FilterRows {
    FilterRows {
        column: fields.required("column"),
        op: fields.required::<FilterOp>("op"),
        value: fields.optional("value"),
    }
}

fn read_refusals(fields: &mut Fields<'_>) -> DropRefusals {
    DropRefusals { column: fields.or("column", DropRefusals::default().column) }
}

fn read_truncated(fields: &mut Fields<'_>) -> DropTruncated {
    let defaults = DropTruncated::default();
    DropTruncated {
        column: fields.or("column", defaults.column),
        finish_reasons: fields.or("finish_reasons", OneOrMany(defaults.finish_reasons)).0,
    }
}

fn read_dedup(fields: &mut Fields<'_>) -> MinHashDedup {
    let defaults = MinHashDedup::default();
    MinHashDedup {
        column: fields.or("column", defaults.column),
        threshold: fields.or("threshold", defaults.threshold),
        seed: fields.or("seed", defaults.seed),
        remove: fields.or("remove", defaults.remove),
    }
}

fn read_pairs(fields: &mut Fields<'_>, context: &Context<'_>) -> FormatTextGenerationDpo {
    let defaults = FormatTextGenerationDpo::default();
    FormatTextGenerationDpo {
        policy: fields.or("policy", defaults.policy),
        min_margin: fields.or("min_margin", defaults.min_margin),
        ties: fields.or("ties", defaults.ties),
        max_length_ratio: fields.optional("max_length_ratio"),
        max_pairs_per_prompt: fields.optional("max_pairs_per_prompt"),
        ratings_from: fields.or("ratings_from", defaults.ratings_from),
        human_ratings: fields
            .optional::<String>("human_ratings")
            .map(|text| read_path(fields, "human_ratings", &text, context)),
    }
}

fn read_argilla(fields: &mut Fields<'_>) -> PreferenceToArgilla {
    // distilabel has the key here; what stands in a recipe ends up in run folders and on the Hub.
    if fields.node("api_key").is_some() {
        let place = fields.place_of("api_key").clone();
        let hint = "delete the line and set ARGILLA_API_KEY: recipes are copied and shared";
        fields.found.add(&place, "a key does not belong in a recipe", Some(hint.to_owned()));
    }
    PreferenceToArgilla {
        num_generations: fields.required("num_generations"),
        dataset_name: fields.required("dataset_name"),
        dataset_workspace: fields.optional("dataset_workspace"),
        api_url: fields.optional("api_url"),
    }
}

fn read_push(fields: &mut Fields<'_>) -> PushToHub {
    if fields.node("token").is_some() {
        let place = fields.place_of("token").clone();
        let hint = "delete it: set HF_TOKEN, or keep one by `hf auth login`".to_owned();
        fields.found.add(&place, "a recipe holds no credentials", Some(hint));
    }
    let defaults = PushToHub::new(fields.required::<String>("repo_id"));
    PushToHub {
        private: fields.or("private", defaults.private),
        revision: fields.or("revision", defaults.revision),
        message: fields.optional("message"),
        repo_id: defaults.repo_id,
    }
}

fn read_judge(fields: &mut Fields<'_>, context: &Context<'_>) -> UltraFeedback {
    let defaults = UltraFeedback::new(fields.required::<String>("model"));
    UltraFeedback {
        aspect: fields.or("aspect", defaults.aspect),
        rationale: fields.or("rationale", defaults.rationale),
        max_rationale_tokens: fields.or("max_rationale_tokens", defaults.max_rationale_tokens),
        score: fields.or("score", defaults.score),
        orders: fields.or("orders", defaults.orders),
        layout: fields.or("layout", defaults.layout),
        rubric: fields
            .optional::<String>("rubric")
            .map(|text| read_path(fields, "rubric", &text, context)),
        generation: read_generation(fields, defaults.generation),
        model: defaults.model,
    }
}

fn read_generation(fields: &mut Fields<'_>, defaults: Generation) -> Generation {
    fields.table("generation", |fields| Generation {
        max_new_tokens: fields.or("max_new_tokens", defaults.max_new_tokens),
        temperature: fields.or("temperature", defaults.temperature),
        top_k: fields.or("top_k", defaults.top_k),
        top_p: fields.or("top_p", defaults.top_p),
        min_p: fields.or("min_p", defaults.min_p),
        repetition_penalty: fields.or("repetition_penalty", defaults.repetition_penalty),
        presence_penalty: fields.or("presence_penalty", defaults.presence_penalty),
        frequency_penalty: fields.or("frequency_penalty", defaults.frequency_penalty),
        stop: fields.or("stop", OneOrMany(defaults.stop)).0,
        logit_bias: fields.or("logit_bias", defaults.logit_bias),
        grammar: fields.optional("grammar"),
        seed: fields.optional("seed"),
    })
}
