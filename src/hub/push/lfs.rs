//! Large files by the Hub's own upload protocol, that of git-lfs with one transfer more.
//!
//! The Hub is asked where a file shall go. It says that it has it, or names one address for the
//! whole (`basic`), or one for each part and one that puts them together (`multipart`). What fails
//! for good is asked for anew, since addresses are good for a while only.

use serde_json::{Value, json};

use super::client::Client;
use super::hashed::Hashed;
use super::storage::{Part, Put, Storage};
use crate::hub::Progress;
use crate::web::{Failure, patiently};
use crate::{Error, Result};

/// Most files asked about at once.
const N_ASKED_MAX: usize = 100;

/// Most parts of one file, as storages have it.
const N_PARTS_MAX: u64 = 10_000;

/// Where a file shall go.
#[derive(Debug)]
struct Order {
    /// Nothing where the Hub has it.
    upload: Option<Upload>,
    /// Where it is asked for when it is there.
    verify: Option<String>,
}

/// How a file is to be sent.
#[derive(Debug, PartialEq, Eq)]
enum Upload {
    /// In one piece.
    Whole { url: String },
    /// In pieces of this size, the last one smaller; `complete` puts them together.
    Parts { part_bytes: u64, urls: Vec<String>, complete: String },
}

/// Sends files that the Hub keeps outside git.
///
/// # Errors
/// When it refuses one, or it could not be sent in [`crate::web::Patience::n_attempts`] attempts.
pub(super) fn upload(
    client: &Client<'_>,
    branch: &str,
    files: &[&Hashed<'_>],
    tell: &mut dyn FnMut(Progress<'_>),
) -> Result<()> {
    let orders = |files: &[&Hashed<'_>]| orders(client, branch, files);
    for some in files.chunks(N_ASKED_MAX) {
        let ordered = client.ask("ask where files shall go", || orders(some))?;
        for (hashed, first) in some.iter().zip(ordered) {
            let mut first = Some(first);
            let what = format!("upload {}", hashed.file.name);
            let attempt = || {
                let order = match first.take() {
                    Some(order) => order,
                    None => orders(&[hashed])?.remove(0),
                };
                send(client, &order, hashed, tell)
            };
            client.ask(&what, attempt)?;
        }
    }
    Ok(())
}

/// Asks where files shall go: one order for each.
fn orders(client: &Client<'_>, branch: &str, files: &[&Hashed<'_>]) -> Result<Vec<Order>, Failure> {
    let object = |hashed: &&Hashed<'_>| json!({"oid": hashed.sha256, "size": hashed.n_bytes});
    let wanted = json!({
        "operation": "upload",
        "transfers": ["basic", "multipart"],
        "objects": files.iter().map(object).collect::<Vec<_>>(),
        "hash_algo": "sha256",
        "ref": {"name": branch},
    });
    let url = format!("{}.git/info/lfs/objects/batch", client.page());
    let kind = "application/vnd.git-lfs+json";
    let answer = client.post(&url, kind, wanted.to_string().as_bytes())?;
    let said = client.json(answer, "an upload")?;
    let said = said["objects"].as_array().map_or(&[][..], Vec::as_slice);
    files.iter().map(|hashed| order(client, said, hashed)).collect()
}

fn order(client: &Client<'_>, said: &[Value], hashed: &Hashed<'_>) -> Result<Order, Failure> {
    let name = &hashed.file.name;
    let Some(said) = said.iter().find(|said| said["oid"] == hashed.sha256.as_str()) else {
        return Err(client.strange(&format!("no word about {name}")));
    };
    if let Some(error) = said["error"].as_object() {
        let code = error.get("code").and_then(Value::as_u64).unwrap_or(0);
        let says = client.told(error.get("message").and_then(Value::as_str).unwrap_or(""));
        if code == 429 || code >= 500 {
            return Err(Failure::passing(format!("code {code} for {name}: {says}")));
        }
        let what = format!("the Hub refuses the upload of {name} with code {code}: {says}");
        let hint = format!("look at {}", client.page());
        return Err(Failure::Final(Error::Remote { what, hint, source: None }));
    }
    let actions = &said["actions"];
    let verify = actions["verify"]["href"].as_str().map(str::to_owned);
    if actions["upload"].is_null() {
        return Ok(Order { upload: None, verify });
    }
    let upload = upload_of(&actions["upload"], hashed.n_bytes);
    let upload = upload.map_err(|why| client.strange(&format!("{why} for {name}")))?;
    Ok(Order { upload: Some(upload), verify })
}

fn upload_of(said: &Value, n_bytes: u64) -> Result<Upload, &'static str> {
    let url = said["href"].as_str().ok_or("an upload without an address")?.to_owned();
    let header = said["header"].as_object();
    let Some((header, size)) = header.and_then(|header| Some((header, header.get("chunk_size")?)))
    else {
        return Ok(Upload::Whole { url });
    };
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let part_bytes = number(size).filter(|size| *size > 0).ok_or("parts without a size")?;
    let n_parts = n_bytes.div_ceil(part_bytes);
    if n_parts > N_PARTS_MAX {
        return Err("more parts than a storage takes");
    }
    let mut urls: Vec<(u64, String)> = header
        .iter()
        .filter_map(|(number, url)| Some((number.parse().ok()?, url.as_str()?.to_owned())))
        .collect();
    urls.sort_unstable();
    if !urls.iter().map(|(number, _)| *number).eq(1..=n_parts) {
        return Err("another number of parts than the file has");
    }
    let urls = urls.into_iter().map(|(_, url)| url).collect();
    Ok(Upload::Parts { part_bytes, urls, complete: url })
}

/// Sends one file, and asks whether it is there.
fn send(
    client: &Client<'_>,
    order: &Order,
    hashed: &Hashed<'_>,
    tell: &mut dyn FnMut(Progress<'_>),
) -> Result<(), Failure> {
    let Some(upload) = &order.upload else { return Ok(()) };
    let name = &hashed.file.name;
    match upload {
        Upload::Whole { url } => {
            let part = Part { hashed, start: 0, n_bytes: hashed.n_bytes };
            kept(Storage::new(client, url)?.put(url, part, tell)?)?;
        }
        Upload::Parts { part_bytes, urls, complete } => {
            // One client, and so one connection, for all of them.
            let storage = Storage::new(client, urls.first().unwrap_or(complete))?;
            let mut parts = Vec::with_capacity(urls.len());
            for (number, url) in (1_u64..).zip(urls) {
                let start = (number - 1) * part_bytes;
                let n_bytes = (*part_bytes).min(hashed.n_bytes - start);
                let part = Part { hashed, start, n_bytes };
                let mark = send_part(client, &storage, url, part, tell)?;
                parts.push(json!({"partNumber": number, "etag": mark}));
            }
            let body = json!({"oid": hashed.sha256, "parts": parts});
            let what = format!("the end of the upload of {name}");
            kept(Storage::new(client, complete)?.post(complete, &body, &what)?)?;
        }
    }
    if let Some(url) = &order.verify {
        let body = json!({"oid": hashed.sha256, "size": hashed.n_bytes});
        let storage = Storage::new(client, url)?;
        kept(storage.post(url, &body, &format!("the check of {name}"))?)?;
    }
    Ok(())
}

/// Sends one part, again while that may help; the mark that it is kept under.
fn send_part(
    client: &Client<'_>,
    storage: &Storage<'_, '_>,
    url: &str,
    part: Part<'_>,
    tell: &mut dyn FnMut(Progress<'_>),
) -> Result<String, Failure> {
    let name = &part.hashed.file.name;
    let give_up = |why: String| client.gave_up(&format!("upload {name}"), &why);
    let put =
        patiently(&client.options.patience, || (false, storage.put(url, part, tell)), give_up)?;
    kept(put)?.ok_or_else(|| Failure::passing(format!("a part of {name} without a mark")))
}

/// The mark of bytes that are there; an address that is good no longer is asked for anew.
fn kept(put: Put) -> Result<Option<String>, Failure> {
    match put {
        Put::Kept(mark) => Ok(mark),
        Put::Stale(why) => Err(Failure::passing(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(said: Value, want: Result<Upload, &str>) {
        assert_eq!(upload_of(&said, 25), want, "{said}");
    }

    #[test]
    fn an_order_is_for_the_whole_file_or_for_all_of_its_parts() {
        let url = "http://s/x".to_owned();
        check(json!({"href": url}), Ok(Upload::Whole { url: url.clone() }));
        check(json!({"href": url, "header": {"a": "b"}}), Ok(Upload::Whole { url: url.clone() }));
        let parts = |size: Value| {
            json!({"href": url, "header": {
                "00003": "c", "00001": "a", "00002": "b", "chunk_size": size
            }})
        };
        let urls = ["a", "b", "c"].map(str::to_owned).to_vec();
        let want = |part_bytes| {
            Ok(Upload::Parts { part_bytes, urls: urls.clone(), complete: url.clone() })
        };
        check(parts(json!(10)), want(10));
        check(parts(json!("12")), want(12));
        check(parts(json!(5)), Err("another number of parts than the file has"));
        check(parts(json!(0)), Err("parts without a size"));
        let gap = json!({"href": url, "header": {"1": "a", "3": "b", "chunk_size": 20}});
        check(gap, Err("another number of parts than the file has"));
        check(json!({"header": {}}), Err("an upload without an address"));
    }
}
