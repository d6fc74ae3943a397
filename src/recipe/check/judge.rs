//! What can be said of a judge's answer before its tokenizer is known.

use super::step_of;
use crate::recipe::draft::Draft;
use crate::recipe::place::Findings;
use crate::recipe::spec::{Rationale, Step, UltraFeedback};

/// Refuses judges whose answer cannot fit `max_new_tokens` however it is shortened, and groups
/// that ask for more answers than their branches make.
pub(super) fn check(draft: &Draft, found: &mut Findings) {
    for idx in 0..draft.graph.names.len() {
        let Some((entry, step)) = step_of(draft, idx) else { continue };
        let Some(n_answers) = answers(draft, idx) else { continue };
        let marks = &entry.marks;
        if let Step::GroupColumns(group) = step
            && let Some(n_min) = group.min_generations.filter(|n_min| *n_min > n_answers)
        {
            let message = format!(
                "`min_generations` is {n_min}, but only {n_answers} answers come together here"
            );
            marks.fault("min_generations", found, message, Some("lower it"));
        }
        if let Step::FormatTextGenerationDPO(pairs) = step
            // One answer or none makes no pair by any policy: that is another fault's matter.
            && (2..pairs.policy.n_answers_min()).contains(&n_answers)
        {
            let n_min = pairs.policy.n_answers_min();
            let message = format!(
                "this policy takes {n_min} answers or more, {n_answers} come together here"
            );
            let hint = "raise `num_generations`, or choose another `policy`";
            let key = if entry.marks.keys.contains_key("policy") { "policy" } else { "type" };
            marks.fault(key, found, message, Some(hint));
        }
        if let Step::UltraFeedback(judge) = step {
            let n_tokens = fewest_tokens(judge, n_answers);
            let n_max = judge.generation.max_new_tokens;
            if n_max < n_tokens && n_max > 0 {
                let message = format!(
                    "a judgement of {n_answers} answers has at least {n_tokens} tokens, \
                     `max_new_tokens` is {n_max}"
                );
                let hint = "raise `generation.max_new_tokens`, or set `rationale = \"none\"`";
                marks.fault("generation.max_new_tokens", found, message, Some(hint));
            }
        }
    }
}

/// One token for each rating and one for each rationale, were all else free.
fn fewest_tokens(judge: &UltraFeedback, n_answers: usize) -> usize {
    match judge.rationale {
        Rationale::None => n_answers,
        Rationale::After | Rationale::Before => 2 * n_answers,
    }
}

/// How many answers a row brings where step `idx` sees it, as far as the flow alone tells.
fn answers(draft: &Draft, idx: usize) -> Option<usize> {
    let (entry, step) = step_of(draft, idx)?;
    let parents = draft.graph.parents(idx);
    match step {
        _ if !entry.marks.wrong.is_empty() => None,
        Step::TextGeneration(step) => Some(step.num_generations),
        Step::GroupColumns(_) => parents.iter().map(|parent| answers(draft, *parent)).sum(),
        Step::KeepColumns(_)
        | Step::UltraFeedback(_)
        | Step::FormatTextGenerationDPO(_)
        | Step::PreferenceToArgilla(_) => answers(draft, *parents.first()?),
        step if step.is_filter() => answers(draft, *parents.first()?),
        Step::LoadDataFromDicts(_)
        | Step::LoadDataFromFileSystem(_)
        | Step::LoadDataFromHub(_)
        | Step::SelfInstruct(_)
        | Step::ExpandColumns(_)
        | Step::FilterRows(_)
        | Step::DropRefusals(_)
        | Step::DropTruncated(_)
        | Step::MinHashDedup(_)
        | Step::PushToHub(_) => None,
    }
}
