//! Single values: ranges, names of models, lists that must not be empty.

use std::ops::Bound;

use stillroom_models::demo::family;
use stillroom_models::tiny::Shape;

use super::{filters, pairs, push, table};
use crate::recipe::draft::{Draft, Drafted, Marks};
use crate::recipe::nearest::did_you_mean;
use crate::recipe::place::Findings;
use crate::recipe::source::{Source, is_repository};
use crate::recipe::spec::{
    ColumnNames, Generation, Grammar, GroupColumns, LoadDataFromDicts, LoadDataFromHub, ModelSpec,
    Rationale, Step, TextGeneration, UltraFeedback,
};

/// Most answers or instructions that one row may ask for.
const N_PER_ROW_MAX: usize = 4096;

/// Most stop texts of one step.
const N_STOPS_MAX: usize = 64;

/// Every model can be a model and is used; every step's model exists.
pub(super) fn check_models(draft: &Draft, found: &mut Findings) {
    let names = draft.models.iter().map(|(name, _)| name.as_str());
    let mut used = Vec::new();
    let mut is_sure = !draft.marks.wrong.contains("steps");
    for (_, step) in &draft.steps {
        let Some(value) = &step.value else {
            is_sure = false;
            continue;
        };
        let Some(model) = value.model() else { continue };
        used.push(model);
        is_sure &= !step.marks.wrong.contains("model");
        if table(&draft.models, model).is_none() {
            let message = format!("`{model}` is no model of this recipe");
            let hint = did_you_mean(model, names.clone())
                .unwrap_or_else(|| format!("add `[models.{model}]` with a `source`"));
            step.marks.fault("model", found, message, Some(&hint));
        }
    }
    for (name, model) in &draft.models {
        if let Some(spec) = &model.value {
            check_source(spec, &model.marks, found);
        }
        if is_sure && !used.contains(&name.as_str()) {
            let hint =
                format!("delete `[models.{name}]`, or name it in a step: `model = {name:?}`");
            found.add(&model.marks.place, format!("no step uses the model `{name}`"), Some(hint));
        }
    }
}

fn check_source(spec: &ModelSpec, marks: &Marks, found: &mut Findings) {
    match spec.origin() {
        Err((message, hint)) => marks.fault("source", found, message, Some(&hint)),
        Ok(Source::Hub(_)) => {
            if spec.revision.is_empty() {
                marks.fault("revision", found, "the revision is empty", None);
            }
        }
        Ok(Source::Demo(member)) if family::member(&member).is_none() => {
            let hint = did_you_mean(&member, family::names());
            let message = format!("there is no demo model `{member}`");
            marks.fault("source", found, message, hint.as_deref());
        }
        Ok(Source::Tiny(shape)) if Shape::named(&shape).is_none() => {
            let hint =
                did_you_mean(&shape, Shape::names().map(|(name, _)| name).collect::<Vec<_>>());
            let message = format!("`{shape}` is no tiny shape");
            marks.fault("source", found, message, hint.as_deref());
        }
        Ok(Source::Demo(_) | Source::Tiny(_) | Source::Folder(_)) => {
            if spec.revision != ModelSpec::MAIN {
                let message = format!("only a Hub repository has revisions, not `{}`", spec.source);
                marks.fault("revision", found, message, Some("delete `revision`"));
            }
        }
    }
}

/// The parameters of one step.
pub(super) fn check_step(step: &Drafted<Step>, found: &mut Findings) {
    let marks = &step.marks;
    let Some(value) = &step.value else { return };
    match value {
        Step::LoadDataFromDicts(step) => check_dicts(step, marks, found),
        Step::LoadDataFromHub(step) => check_hub_loader(step, marks, found),
        Step::LoadDataFromFileSystem(step) => {
            check_num_examples(step.num_examples, marks, found);
            let kind = step.path.extension().unwrap_or_default().to_ascii_lowercase();
            if !["jsonl", "ndjson", "json", "csv", "parquet"].iter().any(|known| kind == *known) {
                let message = format!("{} is no kind of file that is read", step.path.display());
                let hint = "use .jsonl, .json, .csv or .parquet";
                marks.fault("path", found, message, Some(hint));
            }
        }
        Step::SelfInstruct(step) => {
            count(step.num_instructions, "num_instructions", marks, found);
        }
        Step::ExpandColumns(step) => {
            let names: Vec<String> = match &step.columns {
                ColumnNames::Kept(names) => names.clone(),
                ColumnNames::Renamed(names) => names.values().cloned().collect(),
            };
            check_names(&names, "columns", marks, found);
        }
        Step::KeepColumns(step) => check_names(&step.columns, "columns", marks, found),
        Step::TextGeneration(step) => check_text_generation(step, marks, found),
        Step::GroupColumns(step) => check_group(step, marks, found),
        Step::FilterRows(step) => filters::check_condition(step, marks, found),
        Step::DropRefusals(_) => (),
        Step::DropTruncated(step) => filters::check_truncated(step, marks, found),
        Step::MinHashDedup(step) => filters::check_dedup(step, marks, found),
        Step::UltraFeedback(step) => check_judge(step, marks, found),
        Step::FormatTextGenerationDPO(step) => pairs::check(step, marks, found),
        Step::PushToHub(step) => push::check(step, marks, found),
        Step::PreferenceToArgilla(step) => pairs::check_argilla(step, marks, found),
    }
    if let Some(generation) = value.generation() {
        check_generation(generation, marks, found);
    }
}

fn check_hub_loader(step: &LoadDataFromHub, marks: &Marks, found: &mut Findings) {
    check_num_examples(step.num_examples, marks, found);
    if !is_repository(&step.repo_id) {
        let message = format!("`{}` is no data set of the Hub", step.repo_id);
        let hint = "write it as the Hub does, `org/name`; for a file on this disk use \
                    LoadDataFromFileSystem";
        marks.fault("repo_id", found, message, Some(hint));
    }
    for (key, text) in [("split", &step.split), ("revision", &step.revision)] {
        if text.is_empty() {
            marks.fault(key, found, format!("`{key}` is empty"), None);
        }
    }
}

fn check_num_examples(n: Option<usize>, marks: &Marks, found: &mut Findings) {
    if n == Some(0) {
        let hint = "leave it out to read every row";
        marks.fault("num_examples", found, "`num_examples` is 0: no rows", Some(hint));
    }
}

fn check_dicts(step: &LoadDataFromDicts, marks: &Marks, found: &mut Findings) {
    if step.data.is_empty() {
        let hint = "give it rows: `data = [{ instruction = \"...\" }]`";
        marks.fault("data", found, "`data` has no rows", Some(hint));
    }
    for (row_idx, row) in step.data.iter().enumerate() {
        if row.is_empty() {
            marks.fault("data", found, format!("row {row_idx} of `data` has no columns"), None);
        }
        for (column, value) in row {
            if toml::Value::try_from(value).is_err() {
                let message = format!("row {row_idx}, column `{column}`: {value} is not for TOML");
                let hint = "leave nulls out, and keep whole numbers within 64 bits";
                marks.fault("data", found, message, Some(hint));
            }
        }
    }
}

fn check_text_generation(step: &TextGeneration, marks: &Marks, found: &mut Findings) {
    count(step.num_generations, "num_generations", marks, found);
    check_names(&step.columns, "columns", marks, found);
    let environment = minijinja::Environment::new();
    match environment.template_from_str(&step.template) {
        Err(error) => {
            marks.fault("template", found, format!("the template does not parse: {error}"), None);
        }
        Ok(template) => {
            let mut unknown: Vec<String> = template
                .undeclared_variables(false)
                .into_iter()
                .filter(|name| !step.columns.contains(name))
                .collect();
            unknown.sort();
            for name in unknown {
                let message = format!("the template uses `{name}`, which is not in `columns`");
                let hint = format!("add {name:?} to `columns`");
                marks.fault("template", found, message, Some(&hint));
            }
        }
    }
}

fn check_group(step: &GroupColumns, marks: &Marks, found: &mut Findings) {
    check_names(&step.columns, "columns", marks, found);
    if let Some(names) = &step.output_columns {
        check_names(names, "output_columns", marks, found);
        if names.len() != step.columns.len() && !marks.wrong.contains("columns") {
            let message = format!(
                "`output_columns` has {} names for {} columns",
                names.len(),
                step.columns.len()
            );
            marks.fault("output_columns", found, message, Some("one name for each column"));
        }
    }
    if let Some(n_min) = step.min_generations {
        count(n_min, "min_generations", marks, found);
    }
}

fn check_judge(step: &UltraFeedback, marks: &Marks, found: &mut Findings) {
    let generation = &step.generation;
    if generation.grammar.is_some() {
        let hint = "delete it: a judge's answer has the shape of its aspect";
        marks.fault("generation.grammar", found, "a judge takes no grammar", Some(hint));
    }
    if !generation.stop.is_empty() {
        let hint = "delete it: a judge's answer ends where its shape ends";
        marks.fault("generation.stop", found, "a judge takes no stop texts", Some(hint));
    }
    let aspects = &step.aspect.0;
    if aspects.is_empty() {
        marks.fault("aspect", found, "`aspect` is empty", Some("name one aspect, or several"));
    }
    for (idx, aspect) in aspects.iter().enumerate() {
        if aspects[..idx].contains(aspect) {
            marks.fault("aspect", found, format!("`aspect` has `{}` twice", aspect.name()), None);
        }
    }
    if step.rubric.is_some() && step.aspect.are_several() {
        let message = format!("one `rubric` for {} aspects", aspects.len());
        let hint = "a file replaces the rubric of one aspect: give each a step of its own";
        marks.fault("rubric", found, message, Some(hint));
    }
    if step.max_rationale_tokens == 0 && step.rationale != Rationale::None {
        let message = "`max_rationale_tokens` is 0, and a rationale is asked for";
        let hint = "at least 1, or set `rationale = \"none\"`";
        marks.fault("max_rationale_tokens", found, message, Some(hint));
    }
}

/// At least one name, none empty, none twice.
pub(super) fn check_names(names: &[String], key: &str, marks: &Marks, found: &mut Findings) {
    if names.is_empty() {
        marks.fault(key, found, format!("`{key}` is empty"), None);
    }
    for (idx, name) in names.iter().enumerate() {
        if name.is_empty() {
            marks.fault(key, found, format!("`{key}` has an empty name"), None);
        } else if names[..idx].contains(name) {
            marks.fault(key, found, format!("`{key}` has `{name}` twice"), None);
        }
    }
}

pub(super) fn count(n: usize, key: &str, marks: &Marks, found: &mut Findings) {
    if n == 0 || n > N_PER_ROW_MAX {
        let message = format!("`{key}` is {n}");
        let hint = format!("from 1 to {N_PER_ROW_MAX}");
        marks.fault(key, found, message, Some(&hint));
    }
}

fn check_generation(step: &Generation, marks: &Marks, found: &mut Findings) {
    use Bound::{Excluded, Included, Unbounded};
    if step.max_new_tokens == 0 {
        let hint = "at least 1, or there is no answer";
        marks.fault("generation.max_new_tokens", found, "`max_new_tokens` is 0", Some(hint));
    }
    let ranges = [
        ("temperature", step.temperature, (Included(0.0), Unbounded), "0 or more"),
        ("top_p", step.top_p, (Excluded(0.0), Included(1.0)), "above 0, up to 1"),
        ("min_p", step.min_p, (Included(0.0), Excluded(1.0)), "from 0, below 1"),
        ("repetition_penalty", step.repetition_penalty, (Excluded(0.0), Unbounded), "above 0"),
        ("presence_penalty", step.presence_penalty, (Unbounded, Unbounded), "a finite number"),
        ("frequency_penalty", step.frequency_penalty, (Unbounded, Unbounded), "a finite number"),
    ];
    for (key, value, range, hint) in ranges {
        if !value.is_finite() || !std::ops::RangeBounds::contains(&range, &value) {
            let place = format!("generation.{key}");
            marks.fault(&place, found, format!("`{key}` is {value:?}"), Some(hint));
        }
    }
    if let Some(Err(error)) = step.grammar.as_ref().map(Grammar::check) {
        marks.fault("generation.grammar", found, error.to_string(), None);
    }
    if step.grammar.is_some() && !step.stop.is_empty() {
        let message = "an answer follows a grammar or stop texts, not both";
        marks.fault("generation.stop", found, message, Some("delete one of the two"));
    }
    if step.stop.iter().any(String::is_empty) {
        marks.fault("generation.stop", found, "a stop text is empty", None);
    }
    if step.stop.len() > N_STOPS_MAX {
        let message = format!("{} stop texts", step.stop.len());
        let hint = format!("at most {N_STOPS_MAX}");
        marks.fault("generation.stop", found, message, Some(&hint));
    }
    for (token, bias) in &step.logit_bias {
        if token.parse::<u32>().is_err() || bias.is_nan() {
            let message = format!("`logit_bias` has `{token}` = {bias:?}");
            let hint = "token ids and numbers: `{ 128009 = -5.0 }`";
            marks.fault("generation.logit_bias", found, message, Some(hint));
        }
    }
    if step.seed.is_some_and(|seed| i64::try_from(seed).is_err()) {
        let message = "the seed is larger than TOML can hold";
        marks.fault("generation.seed", found, message, Some("take one below 2^63"));
    }
}
