//! A checkpoint without its weights: the small files, and of each shard the header, followed by a
//! hole as long as the rest. Whoever reads sizes and shapes only cannot tell it from the whole.
//!
//! It lies in a folder of its own and never in the cache, where Python's client would take it for
//! the weights themselves.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use super::HubOptions;
use super::cache::create_folder;
use super::client::Client;
use super::download::ask;
use crate::web::Failure;
use crate::{Error, Result};

/// Bytes of the length that begins a safetensors file.
const N_LEN: u64 = 8;
/// Longest header that is believed: the format's own limit.
const N_HEADER_MAX: u64 = 100_000_000;

/// Draws outlines of one commit.
pub(super) struct Outlines<'a> {
    pub(super) client: &'a Client<'a>,
    pub(super) options: &'a HubOptions,
    pub(super) commit: &'a str,
}

impl Outlines<'_> {
    /// Copies `small` from the snapshot to `folder` and draws each shard there.
    pub(super) fn draw(
        &self,
        snapshot: &Path,
        small: &[&str],
        shards: &[String],
        folder: &Path,
    ) -> Result<PathBuf> {
        for name in small {
            let target = place(folder, name)?;
            fs::copy(snapshot.join(name), &target).map_err(|e| Error::disk("write", &target, e))?;
        }
        for name in shards {
            let target = place(folder, name)?;
            if !target.is_file() {
                self.shard(name, &target)?;
            }
        }
        Ok(folder.to_owned())
    }

    fn shard(&self, name: &str, target: &Path) -> Result<()> {
        let info = ask(self.options, name, || (false, self.client.info(self.commit, name)))?;
        let header = ask(self.options, name, || {
            let piece = self.client.piece(self.commit, name, 0);
            (false, piece.and_then(|piece| read_header(piece.body, info.n_bytes)))
        })?;
        let fresh = target.with_extension("new");
        let written = File::create(&fresh).and_then(|mut file| {
            file.write_all(&header)?;
            file.set_len(info.n_bytes)?;
            fs::rename(&fresh, target)
        });
        written.map_err(|e| Error::disk("write", target, e))
    }
}

/// Where `name` goes, with its folder made.
fn place(folder: &Path, name: &str) -> Result<PathBuf> {
    let target = folder.join(name);
    create_folder(target.parent().expect("a file below a folder"))?;
    Ok(target)
}

/// The length and the header that it tells; what does not fit the file is left for the reader of
/// the checkpoint to complain about.
fn read_header(mut body: impl Read, n_bytes: u64) -> Result<Vec<u8>, Failure> {
    let passing = |e: io::Error| Failure::passing(e.to_string());
    let mut header = Vec::new();
    (&mut body).take(N_LEN.min(n_bytes)).read_to_end(&mut header).map_err(passing)?;
    let Ok(len) = <[u8; 8]>::try_from(header.as_slice()) else { return Ok(header) };
    let n_header = u64::from_le_bytes(len).min(N_HEADER_MAX).min(n_bytes - N_LEN);
    let n_read = body.take(n_header).read_to_end(&mut header).map_err(passing)?;
    if (n_read as u64) < n_header {
        return Err(Failure::passing("the connection ended within the header"));
    }
    Ok(header)
}
