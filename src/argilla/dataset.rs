//! The data set that records go to: found where it fits, finished where it was left half made, made
//! where there is none.
//!
//! A published data set keeps its fields and questions for ever, so one that does not fit is an
//! error that names what differs, and is looked at whole before anything in it is changed. Each step
//! can be repeated: what a lost answer has made already is met as a conflict, and is then what was
//! wanted.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, Listed, Refusal, Verb};
use super::settings::{PropertyKind, Question, QuestionKind, Settings};
use crate::{Error, Result};

/// Which data set, by name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Its name.
    pub(crate) dataset: &'a str,
    /// The workspace that holds it; may be left out where the user has one only.
    pub(crate) workspace: Option<&'a str>,
}

/// A data set that takes records of the wanted settings.
#[derive(Debug, Clone)]
pub(crate) struct Dataset {
    pub(super) id: String,
    /// Its name.
    pub(crate) name: String,
    /// The workspace that holds it.
    pub(crate) workspace: String,
    /// Ids of the questions, by name.
    question_ids: BTreeMap<String, String>,
    /// Properties that are ours to fill.
    metadata: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Workspace {
    id: String,
    name: String,
}

/// The status of a published data set.
const READY: &str = "ready";

#[derive(Debug, Clone, Deserialize)]
struct Found {
    id: String,
    name: String,
    workspace_id: String,
    status: String,
}

/// A field, a question or a property of a data set.
#[derive(Debug, Deserialize)]
struct Part {
    #[serde(default)]
    id: String,
    name: String,
    #[serde(default)]
    required: bool,
    settings: Value,
}

impl Found {
    /// Whether it is published: people are let in, and fields and questions stay as they are.
    fn is_ready(&self) -> bool {
        self.status == READY
    }
}

impl Dataset {
    /// Finds or makes the data set.
    ///
    /// # Errors
    /// [`Error::Usage`] for settings that no server takes, or a workspace or data set that is not to
    /// be had so; [`Error::Remote`] when the server refuses or cannot be reached.
    pub(crate) fn open(client: &Client, place: Place<'_>, settings: &Settings) -> Result<Self> {
        let (workspace, found) = look(client, place, settings)?;
        let found = match found {
            Some(found) => found,
            None => create(client, place.dataset, &workspace, settings)?,
        };
        // What does not fit is refused before anything of it is changed.
        let mut parts = Parts::of(client, &found, settings)?;
        if !found.is_ready() {
            parts.complete(client, &found, settings)?;
        }
        let metadata = complete_metadata(client, &found, settings)?;
        if !found.is_ready() {
            publish(client, &found)?;
            parts =
                Parts::of(client, &Found { status: READY.to_owned(), ..found.clone() }, settings)?;
        }
        let questions = parts.questions.into_iter();
        let question_ids = questions.map(|part| (part.name, part.id)).collect();
        let Found { id, name, .. } = found;
        Ok(Self { id, name, workspace: workspace.name, question_ids, metadata })
    }

    /// Asks whether records could be pushed, and makes nothing: whether the data set is there.
    ///
    /// # Errors
    /// As [`Dataset::open`].
    pub(crate) fn check(client: &Client, place: Place<'_>, settings: &Settings) -> Result<bool> {
        let (_, found) = look(client, place, settings)?;
        match found {
            Some(found) => Parts::of(client, &found, settings).map(|_| true),
            None => Ok(false),
        }
    }

    /// Finds a data set whose answers are wanted.
    ///
    /// # Errors
    /// As [`Dataset::open`], and when there is none.
    pub(crate) fn find(client: &Client, place: Place<'_>) -> Result<Self> {
        let workspace = find_workspace(client, place.workspace)?;
        let Some(found) = find_dataset(client, place.dataset, &workspace)? else {
            let what = format!(
                "the workspace `{}` of Argilla at {} has no data set `{}`",
                workspace.name,
                client.url(),
                place.dataset
            );
            return Err(client.remote(&what, "`stillroom push argilla RUN` makes it"));
        };
        let Found { id, name, .. } = found;
        let workspace = workspace.name;
        Ok(Self { id, name, workspace, question_ids: BTreeMap::new(), metadata: Vec::new() })
    }

    /// Records that are there.
    ///
    /// # Errors
    /// [`Error::Remote`] when the server refuses or cannot be reached.
    pub(crate) fn n_records(&self, client: &Client) -> Result<u64> {
        #[derive(Deserialize)]
        struct Page {
            total: u64,
        }
        let page: Page = client.get(&format!("datasets/{}/records?limit=1", self.id))?;
        Ok(page.total)
    }

    pub(super) fn question_id(&self, name: &str) -> Option<String> {
        self.question_ids.get(name).cloned()
    }

    pub(super) fn takes_metadata(&self, name: &str) -> bool {
        self.metadata.iter().any(|known| known == name)
    }
}

/// The workspace, and the data set if it is there.
fn look(
    client: &Client,
    place: Place<'_>,
    settings: &Settings,
) -> Result<(Workspace, Option<Found>)> {
    if let Some(fault) = settings.fault(place.dataset) {
        return Err(Error::Usage { what: fault, hint: "choose another --dataset".to_owned() });
    }
    let me = client.me()?;
    let workspace = find_workspace(client, place.workspace)?;
    if me.role == "annotator" {
        let what = format!(
            "`{}` is an annotator in Argilla at {}, and annotators make no records",
            me.username,
            client.url()
        );
        let hint = "use the key of an owner, or of an admin of the workspace";
        return Err(client.remote(&what, hint));
    }
    let found = find_dataset(client, place.dataset, &workspace)?;
    Ok((workspace, found))
}

fn find_workspace(client: &Client, wanted: Option<&str>) -> Result<Workspace> {
    let mut known = client.get::<Listed<Workspace>>("me/workspaces")?.items;
    let names = known.iter().map(|space| format!("`{}`", space.name)).collect::<Vec<_>>();
    let names = names.join(", ");
    let at = client.url();
    let fail = |what: String| {
        let hint = match names.is_empty() {
            true => "an owner makes workspaces and lets admins in, on Argilla's page".to_owned(),
            false => format!("name one of yours with --workspace: {names}"),
        };
        Err(client.remote(&what, &hint))
    };
    match wanted {
        Some(wanted) => match known.iter().position(|space| space.name == wanted) {
            Some(i) => Ok(known.swap_remove(i)),
            None => fail(format!("there is no workspace `{wanted}` for you in Argilla at {at}")),
        },
        None if known.len() == 1 => Ok(known.swap_remove(0)),
        None => fail(format!("you have {} workspaces in Argilla at {at}", known.len())),
    }
}

fn find_dataset(client: &Client, name: &str, workspace: &Workspace) -> Result<Option<Found>> {
    let path = format!("me/datasets?workspace_id={}", workspace.id);
    let found = client.get::<Listed<Found>>(&path)?.items;
    let is_it = |one: &Found| one.name == name && one.workspace_id == workspace.id;
    Ok(found.into_iter().find(is_it))
}

fn create(
    client: &Client,
    name: &str,
    workspace: &Workspace,
    settings: &Settings,
) -> Result<Found> {
    let body = json!({
        "name": name, "workspace_id": workspace.id, "guidelines": settings.guidelines,
        "allow_extra_metadata": true,
        "distribution": {"strategy": "overlap", "min_submitted": 1},
    });
    match client.call(Verb::Post, "datasets", Some(body.to_string().as_bytes()))? {
        Ok(text) => client.parse("datasets", &text),
        Err(refusal) if refusal.status == 409 => match find_dataset(client, name, workspace)? {
            Some(found) => Ok(found),
            None => Err(client.refused("datasets", &refusal)),
        },
        Err(refusal) => Err(client.refused("datasets", &refusal)),
    }
}

/// Lets people in, and closes fields and questions for ever.
fn publish(client: &Client, found: &Found) -> Result<()> {
    let path = format!("datasets/{}/publish", found.id);
    match client.call(Verb::Put, &path, None)? {
        Ok(_) => Ok(()),
        // Published by an attempt whose answer was lost: what is looked at next decides.
        Err(Refusal { status: 422, .. }) => Ok(()),
        Err(refusal) => Err(client.refused(&path, &refusal)),
    }
}

/// The properties that are ours to fill, made where they are not there. One of another kind is
/// somebody else's and stays untouched.
fn complete_metadata(client: &Client, found: &Found, settings: &Settings) -> Result<Vec<String>> {
    let known = parts(client, &format!("me/datasets/{}/metadata-properties", found.id))?;
    let mut ours = Vec::new();
    for property in &settings.metadata {
        match known.iter().find(|part| part.name == property.name) {
            Some(part) if is_kind(property.kind, part) => ours.push(property.name.clone()),
            Some(_) => {}
            None => {
                let path = format!("datasets/{}/metadata-properties", found.id);
                make(client, &path, &property.body())?;
                ours.push(property.name.clone());
            }
        }
    }
    Ok(ours)
}

/// Whether a property takes any value of this kind.
fn is_kind(kind: PropertyKind, part: &Part) -> bool {
    let is_free = |key: &str| part.settings[key].is_null();
    let has_bounds = !["values", "min", "max"].into_iter().all(is_free);
    part.kind() == kind.word() && !has_bounds
}

fn parts(client: &Client, path: &str) -> Result<Vec<Part>> {
    Ok(client.get::<Listed<Part>>(path)?.items)
}

fn make(client: &Client, path: &str, body: &Value) -> Result<()> {
    match client.call(Verb::Post, path, Some(body.to_string().as_bytes()))? {
        Ok(_) => Ok(()),
        Err(Refusal { status: 409, .. }) => Ok(()),
        Err(refusal) => Err(client.refused(path, &refusal)),
    }
}

/// What a data set shows and asks.
struct Parts {
    fields: Vec<Part>,
    questions: Vec<Part>,
}

impl Parts {
    /// Those of a data set that takes the records: of one that is published nothing is missing, of
    /// another what is there fits.
    fn of(client: &Client, found: &Found, settings: &Settings) -> Result<Self> {
        let fields = parts(client, &format!("datasets/{}/fields", found.id))?;
        let questions = parts(client, &format!("datasets/{}/questions", found.id))?;
        let parts = Self { fields, questions };
        let missing = if found.is_ready() { parts.missing(settings) } else { None };
        let Some(why) = missing.or_else(|| parts.clash(settings)) else { return Ok(parts) };
        let (name, at) = (&found.name, client.url());
        let what = format!("the data set `{name}` in Argilla at {at} takes other records: {why}");
        let hint = "a data set keeps the fields and questions that it has: choose another --dataset \
                    (`dataset_name` in the recipe), another num_generations, or delete this one \
                    there";
        Err(client.remote(&what, hint))
    }

    /// Makes what is missing.
    fn complete(&self, client: &Client, found: &Found, settings: &Settings) -> Result<()> {
        for field in settings.fields.iter().filter(|field| self.field(&field.name).is_none()) {
            make(client, &format!("datasets/{}/fields", found.id), &field.body())?;
        }
        let is_missing = |question: &&Question| self.question(&question.name).is_none();
        for question in settings.questions.iter().filter(is_missing) {
            make(client, &format!("datasets/{}/questions", found.id), &question.body())?;
        }
        Ok(())
    }

    fn field(&self, name: &str) -> Option<&Part> {
        self.fields.iter().find(|part| part.name == name)
    }

    fn question(&self, name: &str) -> Option<&Part> {
        self.questions.iter().find(|part| part.name == name)
    }

    /// The first thing that records of these settings have and the data set has not.
    fn missing(&self, settings: &Settings) -> Option<String> {
        let mut fields = settings.fields.iter();
        let mut questions = settings.questions.iter();
        let field = fields.find(|field| self.field(&field.name).is_none());
        let field = field.map(|field| format!("it has no field `{}`", field.name));
        field.or_else(|| {
            let question = questions.find(|question| self.question(&question.name).is_none())?;
            Some(format!("it has no question `{}`", question.name))
        })
    }

    /// The first thing that is there and keeps records of these settings out.
    fn clash(&self, settings: &Settings) -> Option<String> {
        for field in &settings.fields {
            match self.field(&field.name) {
                Some(part) if part.kind() != "text" => {
                    return Some(format!("its field `{}` is {}, not text", part.name, part.kind()));
                }
                Some(part) if part.required && !field.is_required => {
                    return Some(format!("its field `{}` is in every record", part.name));
                }
                Some(_) | None => {}
            }
        }
        let is_ours = |part: &Part| settings.fields.iter().any(|field| field.name == part.name);
        if let Some(part) = self.fields.iter().find(|part| part.required && !is_ours(part)) {
            return Some(format!("it asks for a field `{}`", part.name));
        }
        let mut questions = settings.questions.iter();
        questions.find_map(|question| self.question(&question.name)?.clash(&question.kind))
    }
}

impl Part {
    fn kind(&self) -> &str {
        self.settings["type"].as_str().unwrap_or_default()
    }

    /// Why this question does not ask what is wanted.
    fn clash(&self, wanted: &QuestionKind) -> Option<String> {
        let (name, kind) = (&self.name, self.kind());
        if kind != wanted.word() {
            return Some(format!("its question `{name}` is {kind}, not {}", wanted.word()));
        }
        let QuestionKind::Rating(values) = wanted else { return None };
        let options = self.settings["options"].as_array().into_iter().flatten();
        let options: Vec<i64> = options.filter_map(|one| one["value"].as_i64()).collect();
        let is_same = options.len() == values.len() && values.iter().all(|v| options.contains(v));
        (!is_same).then(|| format!("`{name}` is a rating of {options:?}, not of {values:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::small;
    use super::*;

    fn part(name: &str, required: bool, settings: Value) -> Part {
        Part { id: String::new(), name: name.to_owned(), required, settings }
    }

    fn check(change: impl Fn(&mut Vec<Part>, &mut Vec<Part>), want: Option<&str>) {
        let text = || json!({"type": "text"});
        let mut fields = vec![part("text", true, text()), part("more", false, text())];
        let options: Vec<_> = (1..=5).map(|value| json!({"value": value})).collect();
        let rating = json!({"type": "rating", "options": options});
        let mut questions = vec![part("rating", true, rating), part("why", false, text())];
        change(&mut fields, &mut questions);
        let (parts, settings) = (Parts { fields, questions }, small());
        let why = parts.missing(&settings).or_else(|| parts.clash(&settings));
        assert_eq!(why.as_deref(), want);
    }

    #[test]
    fn what_differs_is_named() {
        let text = || json!({"type": "text"});
        check(|_, _| (), None);
        check(|fields, _| fields.push(part("extra", false, text())), None);
        check(|_, questions| questions.push(part("extra", true, text())), None);
        check(|fields, _| drop(fields.remove(1)), Some("it has no field `more`"));
        check(|fields, _| fields[1].required = true, Some("its field `more` is in every record"));
        check(
            |fields, _| fields[0].settings = json!({"type": "chat"}),
            Some("its field `text` is chat, not text"),
        );
        check(
            |fields, _| fields.push(part("extra", true, text())),
            Some("it asks for a field `extra`"),
        );
        check(|_, questions| drop(questions.remove(1)), Some("it has no question `why`"));
        check(
            |_, questions| questions[1].settings = json!({"type": "span"}),
            Some("its question `why` is span, not text"),
        );
        check(
            |_, questions| questions[0].settings["options"] = json!([{"value": 1}, {"value": 2}]),
            Some("`rating` is a rating of [1, 2], not of [1, 2, 3, 4, 5]"),
        );
    }
}
