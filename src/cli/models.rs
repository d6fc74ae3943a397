//! `stillroom models`, and the models of this machine for the other commands.

use std::path::{Path, PathBuf};

use stillroom_models::{Card, inspect};

use super::args::{InspectArgs, MachineArgs, ModelsCommand};
use super::progress::fetching;
use super::screen::Screen;
use crate::llm;
use crate::pipeline::LocalModels;
use crate::{Error, Result};

/// The models that `args` ask for; files on their way are shown unless `is_quiet`.
pub(super) fn local(args: &MachineArgs, screen: &Screen, is_quiet: bool) -> Result<LocalModels> {
    let gib = |gib: f64| (gib * f64::from(1 << 30)) as u64;
    if args.memory.is_some_and(|gib| !(gib.is_finite() && gib > 0.0)) {
        return Err(Error::Usage {
            what: format!("--memory {} is no size", args.memory.unwrap_or_default()),
            hint: "give GiB, such as --memory 12".to_owned(),
        });
    }
    let models = LocalModels::new(&args.device, &cache_folder()?)?;
    let models = models.offline(args.offline).on_fetch(fetching(*screen, is_quiet));
    Ok(match args.memory {
        Some(size) => models.memory(gib(size)),
        None => models,
    })
}

/// Where tiny checkpoints and quantised copies are kept; it can always be deleted.
pub(super) fn cache_folder() -> Result<PathBuf> {
    let folder = |name: &str, below: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
        Some(PathBuf::from(value).join(below))
    };
    folder("STILLROOM_CACHE", "")
        .or_else(|| folder("XDG_CACHE_HOME", "stillroom"))
        .or_else(|| Some(std::env::home_dir()?.join(".cache/stillroom")))
        .ok_or_else(|| {
            Error::environment(
                "there is no home folder to keep a cache in",
                "set STILLROOM_CACHE to a folder that can be written",
            )
        })
}

/// Looks at models.
pub(super) fn models(command: &ModelsCommand, screen: &Screen) -> Result<()> {
    let ModelsCommand::Inspect(InspectArgs { model, json }) = command;
    let files = match model.strip_prefix("demo:") {
        Some(member) => llm::demo(member)?,
        None => Path::new(model).into(),
    };
    let card = inspect(files).map_err(|error| {
        let hint = "a model's folder holds config.json and its .safetensors files";
        Error::environment(error.to_string(), hint)
    })?;
    screen.answer(*json, &card, || shown(&card));
    Ok(())
}

fn shown(card: &Card) -> String {
    let experts = card.experts.map_or(String::new(), |(n, n_per_token)| {
        format!("experts       {n_per_token} of {n}, {} parameters a token\n", n_active(card))
    });
    let window = card.sliding_window.map_or(String::new(), |n| format!(", window {n}"));
    let n_bytes: usize = card.shards.iter().map(|(_, n_bytes)| n_bytes).sum();
    let yes = |flag: bool| if flag { "yes" } else { "no" };
    format!(
        "{}\n\
         architecture  {}\n\
         parameters    {} million, {}, {} in {} files\n\
         layers        {} of {}, {} heads of {}, {} for keys and values\n\
         {experts}\
         vocabulary    {} tokens, bos {}, eos {:?}\n\
         context       {} tokens{window}\n\
         keys, values  {} a token in 16 bits, {} in 32\n\
         tokenizer     {}\n\
         chat template {}\n\
         key           {}",
        card.folder.display(),
        card.architecture,
        card.n_params / 1_000_000,
        card.formats.join(" and "),
        bytes(n_bytes as u64),
        card.shards.len(),
        card.n_layers,
        card.hidden_size,
        card.heads.0,
        card.head_dim,
        card.heads.1,
        card.vocab_size,
        card.bos.map_or("none".to_owned(), |bos| bos.to_string()),
        card.eos,
        card.max_context,
        bytes(card.kv_bytes_per_token_16 as u64),
        bytes(card.kv_bytes_per_token_32 as u64),
        yes(card.has_tokenizer),
        yes(card.has_template),
        card.key,
    )
}

fn n_active(card: &Card) -> String {
    format!("{} million", card.n_active_params / 1_000_000)
}

/// A size in the unit that suits it.
pub(super) fn bytes(n: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = n as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{size:.1} {}", units[unit]) }
}
