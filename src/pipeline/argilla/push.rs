//! Rows to records, one batch in memory at a time.

use std::path::Path;

use super::target::Target;
use super::{ArgillaChecked, ArgillaOptions, Pushed};
use crate::Result;
use crate::argilla::{ArgillaAccess, Record};
use crate::data::journal;
use crate::pipeline::steps::{argilla_record, argilla_settings};
use crate::recipe::spec::PreferenceToArgilla;

/// See [`super::push_argilla`].
pub(super) fn push(
    root: &Path,
    options: &ArgillaOptions,
    tell: &mut dyn FnMut(u64),
) -> Result<Pushed> {
    let target = Target::find(root, options)?;
    let url = target.url.as_deref();
    let mut pushed = Pushed {
        url: options.access.address(url),
        workspace: target.workspace.clone(),
        dataset: target.dataset.clone(),
        step: target.step_name().to_owned(),
        num_generations: target.n_generations()?,
        is_dry_run: options.dry_run,
        is_finished: target.run.is_finished()?,
        ..Pushed::default()
    };
    if options.dry_run {
        records(&target, &mut pushed, &mut |_, _| Ok(()))?;
    } else {
        send(&target, &options.access, &mut pushed, tell)?;
    }
    Ok(pushed)
}

/// Gives each record of the step's rows to `each`, with the row's id, and counts the others.
fn records(
    target: &Target,
    pushed: &mut Pushed,
    each: &mut dyn FnMut(Record, String) -> Result<()>,
) -> Result<()> {
    let n_generations = pushed.num_generations;
    let settings = argilla_settings(n_generations);
    for entry in journal::read(&target.run.journal(target.step))? {
        let row = entry?.1.row;
        pushed.n_rows += 1;
        match argilla_record(&row.columns, n_generations, &settings) {
            Ok(record) => {
                pushed.n_records += 1;
                each(record, row.id.to_string())?;
            }
            Err(dropped) => *pushed.left_out.entry(dropped.reason).or_default() += 1,
        }
    }
    Ok(())
}

#[cfg(feature = "hub")]
fn send(
    target: &Target,
    access: &ArgillaAccess,
    pushed: &mut Pushed,
    tell: &mut dyn FnMut(u64),
) -> Result<()> {
    use super::RefusedRow;
    use crate::argilla::{Client, Dataset, Place, Upserts};

    let client = Client::new(access.server(target.url.as_deref())?)?;
    let settings = argilla_settings(pushed.num_generations);
    let place = Place { dataset: &target.dataset, workspace: target.workspace.as_deref() };
    let dataset = Dataset::open(&client, place, &settings)?;
    pushed.workspace = Some(dataset.workspace.clone());
    let n_before = dataset.n_records(&client)?;
    let mut upserts = Upserts::new(&client, &dataset);
    let mut n_told = 0;
    records(target, pushed, &mut |record, row| {
        let n_there = upserts.add(record, row)?.n_taken;
        if n_there > n_told {
            n_told = n_there;
            tell(n_there);
        }
        Ok(())
    })?;
    let sent = upserts.finish()?;
    tell(sent.n_taken);
    // The server does not tell which of them it had; how many there are, it does.
    let n_after = dataset.n_records(&client)?;
    pushed.n_created = n_after.saturating_sub(n_before).min(sent.n_taken);
    pushed.n_updated = sent.n_taken - pushed.n_created;
    pushed.n_same = sent.n_same;
    pushed.n_refused = sent.n_refused;
    let refused = sent.refused.into_iter();
    pushed.refused = refused.map(|(row, reason)| RefusedRow { row, reason }).collect();
    Ok(())
}

#[cfg(not(feature = "hub"))]
fn send(
    _target: &Target,
    _access: &ArgillaAccess,
    _pushed: &mut Pushed,
    _tell: &mut dyn FnMut(u64),
) -> Result<()> {
    Err(super::no_network())
}

/// See [`super::check_argilla`].
#[cfg(feature = "hub")]
pub(super) fn check(
    step: &str,
    spec: &PreferenceToArgilla,
    access: &ArgillaAccess,
) -> Result<ArgillaChecked> {
    use crate::argilla::{Client, Dataset, Place};
    let server = access.server(spec.api_url.as_deref())?;
    let url = server.url.clone();
    let client = Client::new(server)?;
    let workspace = spec.dataset_workspace.as_deref();
    let place = Place { dataset: &spec.dataset_name, workspace };
    let is_there = Dataset::check(&client, place, &argilla_settings(spec.num_generations))?;
    let (step, dataset) = (step.to_owned(), spec.dataset_name.clone());
    Ok(ArgillaChecked { step, url, dataset, is_there })
}

/// See [`super::check_argilla`].
#[cfg(not(feature = "hub"))]
pub(super) fn check(
    _step: &str,
    _spec: &PreferenceToArgilla,
    _access: &ArgillaAccess,
) -> Result<ArgillaChecked> {
    Err(super::no_network())
}
