//! The data set that records go to: found where it fits, finished where it was left half made, made
//! where there is none.
//!
//! A published data set keeps its fields and questions for ever, so one that does not fit is an
//! error that names what differs. Each step can be repeated: what a lost answer has made already is
//! met as a conflict, and is then what was wanted.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, Listed, Refusal, Verb, remote};
use super::settings::{PropertyKind, QuestionKind, Settings};
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

#[derive(Debug, Deserialize)]
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

impl Part {
    fn kind(&self) -> &str {
        self.settings["type"].as_str().unwrap_or_default()
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
        if found.status != "ready" {
            complete(client, &found.id, settings)?;
        }
        let metadata = complete_metadata(client, &found, settings)?;
        if found.status != "ready" {
            let path = format!("datasets/{}/publish", found.id);
            // Published by an attempt whose answer was lost: what is checked next decides.
            client.call(Verb::Put, &path, None)?.or_else(|refusal| match refusal.status {
                422 => Ok(String::new()),
                _ => Err(client.refused(&path, &refusal)),
            })?;
        }
        let questions = fits(client, &found, settings)?;
        let question_ids = questions.into_iter().map(|part| (part.name, part.id)).collect();
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
            Some(found) if found.status == "ready" => fits(client, &found, settings).map(|_| true),
            Some(_) => Ok(true),
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
            return Err(remote(what, "`stillroom push argilla RUN` makes it"));
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
        return Err(remote(what, "use the key of an owner, or of an admin of the workspace"));
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
        Err(remote(what, hint))
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

/// Makes what a data set that is not published still lacks.
fn complete(client: &Client, id: &str, settings: &Settings) -> Result<()> {
    let fields: Vec<Part> = parts(client, &format!("datasets/{id}/fields"))?;
    for field in &settings.fields {
        if !fields.iter().any(|part| part.name == field.name) {
            make(client, &format!("datasets/{id}/fields"), &field.body())?;
        }
    }
    let questions: Vec<Part> = parts(client, &format!("datasets/{id}/questions"))?;
    for question in &settings.questions {
        if !questions.iter().any(|part| part.name == question.name) {
            make(client, &format!("datasets/{id}/questions"), &question.body())?;
        }
    }
    Ok(())
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

/// The questions of a data set, whose fields and questions fit.
fn fits(client: &Client, found: &Found, settings: &Settings) -> Result<Vec<Part>> {
    let fields = parts(client, &format!("datasets/{}/fields", found.id))?;
    let questions = parts(client, &format!("datasets/{}/questions", found.id))?;
    let misfit = misfit(&fields, &questions, settings);
    match misfit {
        None => Ok(questions),
        Some(why) => Err(remote(
            format!(
                "the data set `{}` in Argilla at {} takes other records: {why}",
                found.name,
                client.url()
            ),
            "a published data set keeps its fields and questions: choose another --dataset \
             (`dataset_name` in the recipe), another num_generations, or delete this one there",
        )),
    }
}

/// The first thing that keeps records of these settings out.
fn misfit(fields: &[Part], questions: &[Part], settings: &Settings) -> Option<String> {
    for field in &settings.fields {
        match fields.iter().find(|part| part.name == field.name) {
            None => return Some(format!("it has no field `{}`", field.name)),
            Some(part) if part.kind() != "text" => {
                return Some(format!("its field `{}` is {}, not text", field.name, part.kind()));
            }
            Some(part) if part.required && !field.is_required => {
                return Some(format!("its field `{}` is in every record", field.name));
            }
            Some(_) => {}
        }
    }
    let is_ours = |part: &Part| settings.fields.iter().any(|field| field.name == part.name);
    if let Some(part) = fields.iter().find(|part| part.required && !is_ours(part)) {
        return Some(format!("it asks for a field `{}`", part.name));
    }
    for question in &settings.questions {
        let Some(part) = questions.iter().find(|part| part.name == question.name) else {
            return Some(format!("it has no question `{}`", question.name));
        };
        let wanted = question.kind.word();
        if part.kind() != wanted {
            let name = &question.name;
            return Some(format!("its question `{name}` is {}, not {wanted}", part.kind()));
        }
        if let QuestionKind::Rating(values) = &question.kind {
            let options = part.settings["options"].as_array().into_iter().flatten();
            let options: Vec<i64> = options.filter_map(|one| one["value"].as_i64()).collect();
            if !values.iter().all(|value| options.contains(value)) || options.len() != values.len()
            {
                let name = &question.name;
                return Some(format!("`{name}` is a rating of {options:?}, not of {values:?}"));
            }
        }
    }
    None
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
        assert_eq!(misfit(&fields, &questions, &small()).as_deref(), want);
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
