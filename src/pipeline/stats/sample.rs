//! A sample of rows that is the same whatever order they come in: those with the least ids.
//!
//! Ids are hashes, so the rows with the least of them are as good as drawn at random.

use std::collections::BTreeMap;

use crate::data::row::RowId;

/// At most so many rows' values.
#[derive(Debug, Clone)]
pub(crate) struct Sample<T> {
    n_max: usize,
    kept: BTreeMap<RowId, T>,
}

impl<T> Sample<T> {
    pub(crate) fn new(n_max: usize) -> Self {
        Self { n_max, kept: BTreeMap::new() }
    }

    /// Takes a row if it belongs to the sample so far.
    pub(crate) fn add(&mut self, id: RowId, value: T) {
        if self.kept.len() >= self.n_max && self.kept.last_key_value().is_none_or(|(k, _)| *k <= id)
        {
            return;
        }
        self.kept.insert(id, value);
        if self.kept.len() > self.n_max {
            self.kept.pop_last();
        }
    }

    /// The sample, by id.
    pub(crate) fn into_rows(self) -> impl Iterator<Item = (RowId, T)> {
        self.kept.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_rows_does_not_matter() {
        let rows: Vec<(RowId, u32)> =
            (0..100).map(|i| (RowId([(i * 37 % 100) as u8; 16]), i)).collect();
        let take = |rows: &mut dyn Iterator<Item = &(RowId, u32)>| {
            let mut sample = Sample::new(10);
            rows.for_each(|(id, value)| sample.add(*id, *value));
            sample.into_rows().map(|(id, _)| id.0[0]).collect::<Vec<_>>()
        };
        let forwards = take(&mut rows.iter());
        assert_eq!(forwards, (0..10).collect::<Vec<_>>());
        assert_eq!(take(&mut rows.iter().rev()), forwards);
        assert_eq!(Sample::<u32>::new(0).into_rows().count(), 0);
    }
}
