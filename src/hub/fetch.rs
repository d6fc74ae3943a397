//! The whole of a checkpoint: from a name to a folder of the cache.

use std::fs;
use std::path::Path;

use super::cache::{RepoCache, create_folder, is_commit, missing};
use super::client::Client;
use super::download::{Wanted, ask, download};
use super::files::{self, INDEX, ONE_FILE, REQUIRED, Weights};
use super::outline::Outlines;
use super::repo_id::{Kind, RepoId, check_names};
use super::{Checkpoint, HubOptions, Progress};
use crate::{Error, Result};

/// How weights are brought: in whole into the cache, or as outlines into a folder of their own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Extent<'a> {
    /// All of their bytes.
    Whole,
    /// Header and length; what follows the header is a hole.
    Outline(&'a Path),
}

pub(super) fn fetch(
    repo: &str,
    revision: &str,
    options: &HubOptions,
    extent: Extent<'_>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Checkpoint> {
    check_names(repo, revision)?;
    let id = RepoId { kind: Kind::Model, name: repo };
    let cache = RepoCache::new(&options.cache, id, revision);
    let found = cache.find();
    if options.offline {
        return found.map_err(|names| missing(id, &options.cache, &names));
    }
    if let Ok(found) = found
        && (is_commit(revision) || matches!(extent, Extent::Outline(_)))
    {
        return Ok(found); // A commit never changes, and a plan may look at the last one.
    }
    let client = Client::new(options, id);
    let what = format!("the list of files of {repo}");
    let revision = ask(options, &what, || (false, client.revision(revision)))?;
    let names = revision.names();
    let lacks = |what: String| Error::Remote {
        what: format!("{repo} cannot be used: {what}"),
        hint: "choose a repository with safetensors weights in the Hugging Face format".into(),
        source: None,
    };
    if let Some(name) = REQUIRED.iter().find(|wanted| !names.iter().any(|name| name == *wanted)) {
        return Err(lacks(format!("it has no {name}")));
    }
    let weights = files::weights(&names).map_err(lacks)?;
    let commit = revision.sha.as_str();
    let folder = cache.snapshot(commit);
    let mut bring = |name: &str| {
        // A link whose blob is gone is no file, so it is brought again.
        if folder.join(name).is_file() {
            return Ok(());
        }
        bring(&cache, &client, options, commit, name, progress)
    };
    let mut small: Vec<&str> = files::small(&names).collect();
    let shards = match weights {
        Weights::One => vec![ONE_FILE.to_owned()],
        Weights::Sharded => {
            small.push(INDEX);
            bring(INDEX)?;
            let path = folder.join(INDEX);
            let index = fs::read(&path).map_err(|e| Error::disk("read", &path, e))?;
            let shards = files::shards(&index).map_err(|why| lacks(format!("{INDEX}: {why}")))?;
            if let Some(shard) = shards.iter().find(|shard| !names.contains(shard)) {
                return Err(lacks(format!("{INDEX} names {shard}, which is not there")));
            }
            shards
        }
    };
    small.iter().try_for_each(|name| bring(name))?;
    let folder = match extent {
        Extent::Whole => {
            shards.iter().try_for_each(|shard| bring(shard))?;
            cache.set_commit(commit)?;
            folder
        }
        Extent::Outline(outlines) => {
            let sketch = Outlines { client: &client, options, commit };
            sketch.draw(&folder, &small, &shards, &outlines.join(commit))?
        }
    };
    Ok(Checkpoint { folder, commit: commit.to_owned() })
}

/// One file into the cache.
pub(super) fn bring(
    cache: &RepoCache,
    client: &Client<'_>,
    options: &HubOptions,
    commit: &str,
    name: &str,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<()> {
    let info = ask(options, name, || (false, client.info(commit, name)))?;
    let blob = cache.blob(&info.etag);
    create_folder(blob.parent().expect("a blob is in a folder"))?;
    let _lock = cache.lock(&info.etag)?;
    let is_whole = fs::metadata(&blob).is_ok_and(|meta| meta.len() == info.n_bytes);
    if !is_whole {
        download(&Wanted { client, commit, name, info: &info, options }, &blob, progress)?;
    }
    cache.link(&info.etag, commit, name)
}
