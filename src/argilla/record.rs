//! A record, and everything that the server would refuse about it.
//!
//! One bad record makes the server refuse its whole batch, so each is looked at before it is sent.

use serde_json::{Map, json};

use super::settings::{PropertyKind, QuestionKind, Settings};

/// Longest name of an agent, in characters.
const N_AGENT_MAX: usize = 200;

/// What people are shown, and what is suggested to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its name outside of Argilla: a record that has it already is updated.
    pub external_id: String,
    /// Texts by field.
    pub fields: Vec<(String, String)>,
    /// Values by property.
    pub metadata: Vec<(String, serde_json::Value)>,
    /// Answers that are suggested.
    pub suggestions: Vec<Suggestion>,
}

/// An answer that is suggested.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// The question's name.
    pub question: String,
    /// The answer.
    pub value: Value,
    /// How sure the agent is, from 0 to 1.
    pub score: Option<f64>,
    /// Who suggests it.
    pub agent: Option<String>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// To a question that asks for a number.
    Rating(i64),
    /// To one that asks for a text.
    Text(String),
}

/// Why a record cannot be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The same words for the same kind of fault.
    pub reason: String,
    /// The values that clash.
    pub detail: String,
}

fn fault(reason: impl Into<String>, detail: impl Into<String>) -> Result<(), Fault> {
    Err(Fault { reason: reason.into(), detail: detail.into() })
}

impl Record {
    /// Looks for what the server would refuse in a data set of these settings.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, settings: &Settings) -> Result<(), Fault> {
        if self.external_id.trim().is_empty() {
            return fault("a record without an id", "");
        }
        self.check_fields(settings)?;
        for (name, value) in &self.metadata {
            let Some(property) = settings.metadata.iter().find(|known| known.name == *name) else {
                return fault("unknown metadata", name);
            };
            let is_word = |value: &serde_json::Value| value.is_string();
            let fits = match property.kind {
                PropertyKind::Terms => {
                    is_word(value)
                        || value.as_array().is_some_and(|words| words.iter().all(is_word))
                }
                // A whole number is refused: `2` is no `2.0` there.
                PropertyKind::Float => value.is_f64(),
            };
            if !fits {
                let wanted = property.kind.word();
                return fault("metadata of another kind", format!("{name}: {value}, not {wanted}"));
            }
        }
        for (i, suggestion) in self.suggestions.iter().enumerate() {
            let is_same = |other: &Suggestion| other.question == suggestion.question;
            if self.suggestions[..i].iter().any(is_same) {
                return fault("two suggestions for one question", &suggestion.question);
            }
            suggestion.check(settings)?;
        }
        Ok(())
    }

    fn check_fields(&self, settings: &Settings) -> Result<(), Fault> {
        for (i, (name, text)) in self.fields.iter().enumerate() {
            if !settings.fields.iter().any(|field| field.name == *name) {
                return fault("unknown field", name);
            }
            if self.fields[..i].iter().any(|(other, _)| other == name) {
                return fault("a field twice", name);
            }
            if text.trim().is_empty() {
                return fault("an empty text", name);
            }
        }
        let has = |name: &String| self.fields.iter().any(|(known, _)| known == name);
        let mut required = settings.fields.iter().filter(|field| field.is_required);
        match required.find(|field| !has(&field.name)) {
            Some(missing) => fault("a field is missing", &missing.name),
            None => Ok(()),
        }
    }

    /// The record as the server takes it; `question_id` knows the questions' ids.
    pub(super) fn body(&self, question_id: &dyn Fn(&str) -> Option<String>) -> serde_json::Value {
        let fields: Map<_, _> =
            self.fields.iter().map(|(name, text)| (name.clone(), json!(text))).collect();
        let metadata: Map<_, _> = self.metadata.iter().cloned().collect();
        let suggestions = self.suggestions.iter().filter_map(|suggestion| {
            let mut body = json!({
                "question_id": question_id(&suggestion.question)?,
                "type": "model",
                "value": match &suggestion.value {
                    Value::Rating(rating) => json!(rating),
                    Value::Text(text) => json!(text),
                },
            });
            body["score"] = json!(suggestion.score);
            body["agent"] = json!(suggestion.agent);
            Some(body)
        });
        json!({
            "external_id": self.external_id, "fields": fields, "metadata": metadata,
            "suggestions": suggestions.collect::<Vec<_>>(),
        })
    }
}

impl Suggestion {
    fn check(&self, settings: &Settings) -> Result<(), Fault> {
        let name = &self.question;
        let Some(question) = settings.questions.iter().find(|known| known.name == *name) else {
            return fault("unknown question", name);
        };
        match (&question.kind, &self.value) {
            (QuestionKind::Rating(options), Value::Rating(rating)) => {
                if !options.contains(rating) {
                    return fault("a rating that is no option", format!("{name}: {rating}"));
                }
            }
            (QuestionKind::Text, Value::Text(text)) => {
                if text.trim().is_empty() {
                    return fault("an empty text", name);
                }
            }
            (QuestionKind::Rating(_), Value::Text(_)) | (QuestionKind::Text, Value::Rating(_)) => {
                return fault("an answer of another kind", name);
            }
        }
        if let Some(score) = self.score.filter(|score| !(0.0..=1.0).contains(score)) {
            return fault("a score outside 0 to 1", format!("{name}: {score}"));
        }
        match &self.agent {
            Some(agent) if !is_agent(agent) => fault("no name for an agent", agent),
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether the server takes the name of an agent: up to 200 of its characters, a letter or digit
/// among them.
fn is_agent(name: &str) -> bool {
    let n = name.chars().count();
    (1..=N_AGENT_MAX).contains(&n)
        && name.chars().all(fits_agent)
        && name.contains(|c: char| c.is_ascii_alphanumeric())
}

fn fits_agent(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_:./ ".contains(c)
}

/// A model's name as an agent's: what the server does not take becomes `-`, and of a long name the
/// end stays, which tells more than the folders before it. Nothing where nothing is left.
pub fn agent(model: &str) -> Option<String> {
    let fitted: Vec<char> =
        model.trim().chars().map(|c| if fits_agent(c) { c } else { '-' }).collect();
    let from = fitted.len().saturating_sub(N_AGENT_MAX);
    Some(fitted[from..].iter().collect()).filter(|name: &String| is_agent(name))
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::small;
    use super::*;

    fn record() -> Record {
        let suggestion = |question: &str, value| Suggestion {
            question: question.to_owned(),
            value,
            score: Some(0.5),
            agent: Some("org/judge".to_owned()),
        };
        Record {
            external_id: "x".to_owned(),
            fields: vec![("text".to_owned(), "hello".to_owned())],
            metadata: vec![("margin".to_owned(), json!(1.5))],
            suggestions: vec![
                suggestion("rating", Value::Rating(4)),
                suggestion("why", Value::Text("good".to_owned())),
            ],
        }
    }

    fn check(change: impl Fn(&mut Record), want: &str) {
        let mut record = record();
        change(&mut record);
        let found = record.check(&small()).err().map(|fault| fault.reason).unwrap_or_default();
        assert_eq!(found, want);
    }

    #[test]
    fn what_the_server_would_refuse_is_found_first() {
        check(|_| (), "");
        check(|r| r.external_id = " ".to_owned(), "a record without an id");
        check(|r| r.fields.clear(), "a field is missing");
        check(|r| r.fields[0].1 = "\n".to_owned(), "an empty text");
        check(|r| r.fields.push(("other".to_owned(), "x".to_owned())), "unknown field");
        check(|r| r.fields.push(("text".to_owned(), "x".to_owned())), "a field twice");
        check(|r| r.metadata[0].0 = "other".to_owned(), "unknown metadata");
        for value in [json!("wide"), json!(2), json!(f64::NAN)] {
            check(|r| r.metadata[0].1 = value.clone(), "metadata of another kind");
        }
        check(|r| r.suggestions[0].value = Value::Rating(0), "a rating that is no option");
        check(|r| r.suggestions[0].value = Value::Rating(6), "a rating that is no option");
        check(|r| r.suggestions[0].question = "other".to_owned(), "unknown question");
        check(|r| r.suggestions[0].question = "why".to_owned(), "an answer of another kind");
        check(|r| r.suggestions[1].value = Value::Text(String::new()), "an empty text");
        check(|r| r.suggestions[1] = r.suggestions[0].clone(), "two suggestions for one question");
        for score in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
            check(|r| r.suggestions[0].score = Some(score), "a score outside 0 to 1");
        }
        for agent in ["", "a+b", "modèle", " . ", &"a".repeat(201)] {
            check(|r| r.suggestions[0].agent = Some(agent.to_owned()), "no name for an agent");
        }
    }

    #[test]
    fn a_models_name_becomes_one_that_the_server_takes() {
        let of = |name: &str| agent(name).unwrap_or_default();
        assert_eq!(of("meta-llama/Meta-Llama-3-70B"), "meta-llama/Meta-Llama-3-70B");
        assert_eq!(of("/models/été (1)"), "/models/-t- -1-");
        assert_eq!(of("模型"), "");
        let long = format!("{}/name", "folder/".repeat(60));
        assert!(of(&long).ends_with("/name") && of(&long).len() == N_AGENT_MAX);
    }
}
