//! The order of the data, found again from where rows came from.
//!
//! A journal holds rows in the order in which they were finished, which depends on who shared a
//! batch. A row's place is that of its root among the roots, then its number among its siblings on
//! the way down: the same for every run of the recipe.

use std::collections::HashMap;

use super::reader::RunReader;
use crate::Result;
use crate::data::journal;
use crate::data::row::RowId;

/// A row's place: its root's, then a number for each step at which it was one of several.
type Place = Vec<u64>;

/// Where the rows of a step stand in its journal, in the data's order.
///
/// # Errors
/// When the disk refuses or a line is damaged.
pub(super) fn offsets(run: &RunReader, leaf: usize) -> Result<Vec<u64>> {
    let is_above = above(run, leaf);
    let mut places: Vec<HashMap<RowId, Place>> = Vec::new();
    let mut rows: Vec<(Place, u64)> = Vec::new();
    for step in 0..=leaf {
        places.push(HashMap::new());
        if !is_above[step] {
            continue;
        }
        for (row, number) in journal::origins(&run.journal(step))?.zip(0_u64..) {
            let (offset, id, origin) = row?;
            // Of a group's several parents the first that is there will do: all have one root.
            let above = |parent: &RowId| run.parents(step).find_map(|up| places[up].get(parent));
            let mut place = match origin.parents.iter().find_map(above) {
                Some(place) => place.clone(),
                None => vec![number],
            };
            if origin.siblings > 1 {
                place.push(origin.ordinal);
            }
            if step == leaf {
                rows.push((place, offset));
            } else {
                places[step].insert(id, place);
            }
        }
    }
    rows.sort();
    Ok(rows.into_iter().map(|(_, offset)| offset).collect())
}

/// `[steps]` whether a step is `leaf` or above it.
fn above(run: &RunReader, leaf: usize) -> Vec<bool> {
    let mut is_above = vec![false; run.steps.len()];
    is_above[leaf] = true;
    for step in (0..=leaf).rev() {
        if is_above[step] {
            run.parents(step).for_each(|parent| is_above[parent] = true);
        }
    }
    is_above
}
