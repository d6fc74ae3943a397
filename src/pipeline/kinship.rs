//! Judges that rate their own kind.
//!
//! Judges favour text that they find likely, and so what they or models of their family would
//! write (arXiv 2410.21819, 2502.01534). That is no fault of a recipe, but the user should know it
//! before the judge has run. It must not know more of a model than its source and key tell.

use std::collections::BTreeSet;

use super::graph::Graph;
use super::plan::{PlannedModel, index_of};
use crate::recipe::spec::{Recipe, Step};

/// Words in a model's name, and the family that each stands for.
const FAMILIES: [(&str, &str); 18] = [
    ("llama", "Llama"),
    ("vicuna", "Llama"),
    ("alpaca", "Llama"),
    ("mistral", "Mistral"),
    ("mixtral", "Mistral"),
    ("ministral", "Mistral"),
    ("codestral", "Mistral"),
    ("magistral", "Mistral"),
    ("zephyr", "Mistral"),
    ("qwen", "Qwen"),
    ("qwq", "Qwen"),
    ("gemma", "Gemma"),
    ("phi-", "Phi"),
    ("smollm", "SmolLM"),
    ("deepseek", "DeepSeek"),
    ("olmo", "OLMo"),
    ("tulu", "Llama"),
    ("command-r", "Command R"),
];

/// What the user should know of the judges: a sentence for each one and kind of kinship.
pub(super) fn notes(recipe: &Recipe, graph: &Graph, models: &[PlannedModel]) -> Vec<String> {
    let mut notes = Vec::new();
    for (step, (name, kind)) in recipe.steps.iter().enumerate() {
        let (Step::UltraFeedback(_), Some(judge)) = (kind, kind.model()) else { continue };
        let judge = &models[index_of(recipe, judge)];
        let (mut same, mut family) = (Vec::new(), Vec::new());
        for author in authors(recipe, graph, step) {
            let author = &models[author];
            if is_same(judge, author) {
                same.push(format!("`{}`", author.name));
            } else if family_of(judge).is_some() && family_of(judge) == family_of(author) {
                family.push(format!("`{}`", author.name));
            }
        }
        let way_out = "judges favour what they would have written; compare the models' win rates, \
                       or take a judge of another family";
        let judge_name = &judge.name;
        if !same.is_empty() {
            let same = same.join(", ");
            notes.push(format!(
                "{name}: the judge `{judge_name}` is the model of {same}: {way_out}"
            ));
        }
        if let (Some(kin), false) = (family_of(judge), family.is_empty()) {
            let family = family.join(", ");
            notes.push(format!(
                "{name}: the judge `{judge_name}` is of one family ({kin}) with {family}: {way_out}"
            ));
        }
    }
    notes
}

/// Models whose answers reach a step, in the recipe's order.
fn authors(recipe: &Recipe, graph: &Graph, step: usize) -> BTreeSet<usize> {
    let mut authors = BTreeSet::new();
    let mut open = graph.parents[step].clone();
    while let Some(step) = open.pop() {
        open.extend(&graph.parents[step]);
        if let Step::TextGeneration(spec) = &recipe.steps[step].1 {
            authors.insert(index_of(recipe, &spec.model));
        }
    }
    authors
}

fn is_same(judge: &PlannedModel, author: &PlannedModel) -> bool {
    let place = |model: &PlannedModel| (model.spec.source.clone(), model.spec.revision.clone());
    judge.facts.key == author.facts.key || place(judge) == place(author)
}

/// The family of a model, by the last part of its source; of two words the later one counts, as in
/// `DeepSeek-R1-Distill-Llama`.
fn family_of(model: &PlannedModel) -> Option<&'static str> {
    let name = model.spec.source.trim_end_matches('/');
    let name = name.rsplit(['/', ':']).next().unwrap_or(name).to_lowercase();
    let places = FAMILIES.iter().filter_map(|(word, family)| Some((name.rfind(word)?, *family)));
    places.max_by_key(|(place, _)| *place).map(|(_, family)| family)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::opener::Facts;
    use crate::recipe::spec::ModelSpec;

    fn model(source: &str, key: &str) -> PlannedModel {
        let facts = Facts {
            name: source.to_owned(),
            key: key.to_owned(),
            weight_bytes: 1,
            kv_bytes_min: 1,
            max_context: 1,
            notes: Vec::new(),
        };
        PlannedModel { name: "m".to_owned(), spec: ModelSpec::new(source), facts }
    }

    #[test]
    fn families_are_told_by_the_last_part_of_the_name() {
        let family = |source: &str| family_of(&model(source, ""));
        assert_eq!(family("meta-llama/Meta-Llama-3-70B-Instruct"), Some("Llama"));
        assert_eq!(family("mistralai/Mixtral-8x7B-Instruct-v0.1"), Some("Mistral"));
        assert_eq!(family("/home/llama/models/Mistral-7B/"), Some("Mistral"));
        assert_eq!(family("deepseek-ai/DeepSeek-R1-Distill-Llama-8B"), Some("Llama"));
        assert_eq!(family("tiny:llama"), Some("Llama"));
        assert_eq!(family("./models/ours"), None);
    }

    #[test]
    fn one_model_is_told_by_its_content_or_its_source() {
        assert!(is_same(&model("./a", "k"), &model("./b", "k")));
        assert!(is_same(&model("org/a", "k"), &model("org/a", "k-Q8_0")));
        assert!(!is_same(&model("org/a", "k"), &model("org/b", "l")));
    }
}
