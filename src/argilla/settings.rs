//! What a data set asks of people: fields that are shown, questions, and metadata to filter by.
//!
//! The same values make a new data set and are held against one that is there.

use serde_json::{Value, json};

/// Longest name, of anything.
const N_NAME_MAX: usize = 200;
/// Longest title of a field, a question or a property.
const N_TITLE_MAX: usize = 500;
/// Longest description of a question.
const N_DESCRIPTION_MAX: usize = 1000;
/// Longest guidelines.
const N_GUIDELINES_MAX: usize = 10_000;

/// A data set as it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What people read before they begin.
    pub guidelines: String,
    /// What they are shown.
    pub fields: Vec<Field>,
    /// What they are asked.
    pub questions: Vec<Question>,
    /// What records can be sorted and filtered by; annotators do not see it.
    pub metadata: Vec<Property>,
}

/// A text that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name in a record.
    pub name: String,
    /// What stands above it.
    pub title: String,
    /// Whether each record has it.
    pub is_required: bool,
}

/// A question about a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its name in an answer.
    pub name: String,
    /// What stands above it.
    pub title: String,
    /// What is meant.
    pub description: String,
    /// Whether an answer needs it.
    pub is_required: bool,
    /// What an answer is.
    pub kind: QuestionKind,
}

/// What an answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuestionKind {
    /// One of these numbers, each from 0 to 10.
    Rating(Vec<i64>),
    /// A text.
    Text,
}

/// A property of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Its name in a record.
    pub name: String,
    /// What stands beside it.
    pub title: String,
    /// What it is.
    pub kind: PropertyKind,
}

/// What a property of a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropertyKind {
    /// A word, or several.
    Terms,
    /// A number.
    Float,
}

impl PropertyKind {
    /// The protocol's word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Terms => "terms",
            Self::Float => "float",
        }
    }
}

impl QuestionKind {
    /// The protocol's word.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Rating(_) => "rating",
            Self::Text => "text",
        }
    }
}

impl Field {
    /// The field as the server makes it.
    pub(super) fn body(&self) -> Value {
        json!({
            "name": self.name, "title": self.title, "required": self.is_required,
            "settings": {"type": "text", "use_markdown": true},
        })
    }
}

impl Question {
    /// The question as the server makes it.
    pub(super) fn body(&self) -> Value {
        let settings = match &self.kind {
            QuestionKind::Rating(values) => {
                let options: Vec<_> = values.iter().map(|value| json!({"value": value})).collect();
                json!({"type": "rating", "options": options})
            }
            QuestionKind::Text => json!({"type": "text", "use_markdown": false}),
        };
        json!({
            "name": self.name, "title": self.title, "description": self.description,
            "required": self.is_required, "settings": settings,
        })
    }
}

impl Property {
    /// The property as the server makes it.
    pub(super) fn body(&self) -> Value {
        json!({
            "name": self.name, "title": self.title, "visible_for_annotators": false,
            "settings": {"type": self.kind.word()},
        })
    }
}

impl Settings {
    /// What the server would refuse about a new data set called `name`, if anything.
    pub fn fault(&self, name: &str) -> Option<String> {
        let fields = self.fields.iter().map(|field| (&field.name, &field.title));
        let questions = self.questions.iter().map(|question| (&question.name, &question.title));
        let metadata = self.metadata.iter().map(|property| (&property.name, &property.title));
        let named = fields.chain(questions).chain(metadata);
        let lengths =
            [("data set's name", name, N_NAME_MAX)]
                .into_iter()
                .chain(Some(("guidelines", self.guidelines.as_str(), N_GUIDELINES_MAX)))
                .chain(named.flat_map(|(name, title)| {
                    [("name", name.as_str(), N_NAME_MAX), ("title", title.as_str(), N_TITLE_MAX)]
                }))
                .chain(self.questions.iter().map(|question| {
                    ("description", question.description.as_str(), N_DESCRIPTION_MAX)
                }));
        for (what, text, n_max) in lengths {
            let n = text.chars().count();
            if !(1..=n_max).contains(&n) {
                let shown: String = text.chars().take(20).collect();
                return Some(format!("the {what} `{shown}` has {n} characters, not 1 to {n_max}"));
            }
        }
        if !self.fields.iter().any(|field| field.is_required) {
            return Some("no field is in every record".to_owned());
        }
        if !self.questions.iter().any(|question| question.is_required) {
            return Some("no question must be answered".to_owned());
        }
        None
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A field and two questions.
    pub(in crate::argilla) fn small() -> Settings {
        let question = |name: &str, is_required, kind| Question {
            name: name.to_owned(),
            title: name.to_owned(),
            description: "?".to_owned(),
            is_required,
            kind,
        };
        let field = |name: &str, is_required| Field {
            name: name.to_owned(),
            title: name.to_owned(),
            is_required,
        };
        Settings {
            guidelines: "Read.".to_owned(),
            fields: vec![field("text", true), field("more", false)],
            questions: vec![
                question("rating", true, QuestionKind::Rating((1..=5).collect())),
                question("why", false, QuestionKind::Text),
            ],
            metadata: vec![Property {
                name: "margin".to_owned(),
                title: "margin".to_owned(),
                kind: PropertyKind::Float,
            }],
        }
    }

    #[test]
    fn what_the_server_would_refuse_is_found_first() {
        let fault = |change: &dyn Fn(&mut Settings), name: &str| {
            let mut settings = small();
            change(&mut settings);
            settings.fault(name).unwrap_or_default()
        };
        assert_eq!(fault(&|_| (), "name"), "");
        assert_eq!(fault(&|_| (), ""), "the data set's name `` has 0 characters, not 1 to 200");
        assert!(fault(&|_| (), &"n".repeat(201)).contains("has 201 characters"));
        assert!(fault(&|s| s.fields[0].title = "t".repeat(501), "n").contains("501"));
        assert!(fault(&|s| s.questions[0].description.clear(), "n").contains("description"));
        assert!(fault(&|s| s.guidelines = "g".repeat(10_001), "n").contains("guidelines"));
        assert!(fault(&|s| s.fields[0].is_required = false, "n").contains("no field"));
        assert!(fault(&|s| s.questions[0].is_required = false, "n").contains("no question"));
    }
}
