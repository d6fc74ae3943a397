//! Root rows, one at a time, loader after loader, each in its own order.

use super::brought::{Brought, n_records};
use crate::Result;
use crate::data::read::{self, BadRecord, FileSource, Reader, Record};
use crate::data::row::{Columns, Roots, Row};
use crate::recipe::spec::{Named, Step};

/// What comes next.
pub(crate) enum Fed {
    /// A root row.
    Row {
        /// The loader.
        step: usize,
        /// The row.
        row: Row,
    },
    /// A record that is no row.
    Bad {
        /// The loader.
        step: usize,
        /// What is wrong with it.
        record: BadRecord,
    },
}

/// All root rows of a recipe.
pub(crate) struct Feed<'a> {
    loaders: std::vec::IntoIter<(usize, &'a Step)>,
    /// What was brought from the Hub, by step.
    brought: &'a [Option<Brought>],
    limit: Option<usize>,
    open: Option<(usize, Source<'a>)>,
    /// Rows that the open loader may still give.
    n_left: usize,
}

/// An open loader.
enum Source<'a> {
    Dicts { rows: std::slice::Iter<'a, Columns>, roots: Roots },
    File(Box<Reader>),
}

impl<'a> Feed<'a> {
    /// Reads every loader of `steps`, at most `limit` rows of each.
    pub(crate) fn new(
        steps: &'a Named<Step>,
        brought: &'a [Option<Brought>],
        limit: Option<usize>,
    ) -> Self {
        let steps = steps.iter().map(|(_, step)| step).enumerate();
        let loaders: Vec<_> = steps.filter(|(_, step)| step.is_loader()).collect();
        Self { loaders: loaders.into_iter(), brought, limit, open: None, n_left: 0 }
    }

    /// The next row; nothing at the end.
    ///
    /// # Errors
    /// When a file cannot be read at all.
    pub(crate) fn next(&mut self) -> Result<Option<Fed>> {
        loop {
            let Some((step, source)) = &mut self.open else {
                let Some((step, loader)) = self.loaders.next() else { return Ok(None) };
                let brought = self.brought[step].as_ref();
                let source = Source::open(loader, brought, self.limit)?;
                self.open = source.map(|source| (step, source));
                self.n_left = self.limit.unwrap_or(usize::MAX);
                continue;
            };
            let step = *step;
            match if self.n_left > 0 { source.next()? } else { None } {
                Some(Record::Row(row)) => {
                    self.n_left -= 1;
                    return Ok(Some(Fed::Row { step, row }));
                }
                Some(Record::Bad(record)) => return Ok(Some(Fed::Bad { step, record })),
                None => self.open = None,
            }
        }
    }
}

impl<'a> Source<'a> {
    fn open(
        step: &'a Step,
        brought: Option<&Brought>,
        limit: Option<usize>,
    ) -> Result<Option<Self>> {
        Ok(match step {
            Step::LoadDataFromDicts(spec) => {
                Some(Self::Dicts { rows: spec.data.iter(), roots: Roots::default() })
            }
            Step::LoadDataFromFileSystem(spec) => {
                let source = FileSource {
                    path: spec.path.clone(),
                    num_examples: spec.num_examples,
                    columns: spec.columns.clone(),
                };
                Some(Self::File(Box::new(read::open(&source)?)))
            }
            Step::LoadDataFromHub(spec) => {
                let brought = brought.expect("the plan brings the rows of such a step");
                let source = brought.source(&spec.columns, n_records(spec, limit));
                Some(Self::File(Box::new(read::open_set(&source)?)))
            }
            Step::SelfInstruct(_)
            | Step::ExpandColumns(_)
            | Step::KeepColumns(_)
            | Step::TextGeneration(_)
            | Step::GroupColumns(_)
            | Step::FilterRows(_)
            | Step::DropRefusals(_)
            | Step::DropTruncated(_)
            | Step::MinHashDedup(_)
            | Step::UltraFeedback(_)
            | Step::FormatTextGenerationDPO(_)
            | Step::PreferenceToArgilla(_)
            | Step::PushToHub(_) => None,
        })
    }

    fn next(&mut self) -> Result<Option<Record>> {
        match self {
            Self::Dicts { rows, roots } => {
                Ok(rows.next().map(|columns| Record::Row(roots.row(columns.clone()))))
            }
            Self::File(reader) => reader.next().transpose(),
        }
    }
}
