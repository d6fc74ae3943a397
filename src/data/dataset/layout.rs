//! How a preference pair is laid out in the columns of a data set.
//!
//! A layout turns a stream of rows into a stream of rows, because one of them makes several rows of
//! a pair. All start from the same row, `FormatTextGenerationDPO`'s.

use super::kto::Unpaired;
use super::{implicit, trl};
use crate::Result;
use crate::data::row::Columns;

/// A row, and whether it belongs to the test split.
pub(super) type Placed = (Columns, bool);

/// Rows on their way into the files.
pub(super) type PlacedStream<'a> = Box<dyn Iterator<Item = Result<Placed>> + 'a>;

/// How a preference pair is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// TRL's conversational layout with an explicit prompt; metadata as a JSON text.
    #[default]
    Trl,
    /// TRL's conversational layout with the prompt inside both sides: what its reward trainer wants.
    TrlImplicit,
    /// TRL's unpaired layout: one answer a row, with a label.
    TrlKto,
    /// The columns of `FormatTextGenerationDPO` as they are.
    Distilabel,
}

impl Layout {
    /// The rows in this layout. Rows that are no pair keep their columns.
    pub(super) fn lay_out<'a>(self, rows: PlacedStream<'a>) -> PlacedStream<'a> {
        let each = |layout: fn(Columns) -> Columns| {
            move |row: Result<Placed>| row.map(|(row, is_test)| (layout(row), is_test))
        };
        match self {
            Self::Trl => Box::new(rows.map(each(trl::layout))),
            Self::TrlImplicit => Box::new(rows.map(each(implicit::layout))),
            Self::TrlKto => Box::new(Unpaired::new(rows)),
            Self::Distilabel => rows,
        }
    }

    /// What the card says of pairs in this layout.
    pub(super) fn words(self) -> Option<&'static str> {
        match self {
            Self::Trl => Some(
                "Pairs are in TRL's conversational layout with an explicit prompt: `prompt`, \
                 `chosen` and `rejected` are lists of messages that hold only their own turns, so \
                 `DPOTrainer(..., train_dataset=rows)` takes them as they are. The other columns \
                 say where each pair comes from and are ignored in training.",
            ),
            Self::TrlImplicit => Some(
                "Pairs are in TRL's conversational layout with an implicit prompt: `chosen` and \
                 `rejected` are whole conversations, so `RewardTrainer(..., train_dataset=rows)` \
                 takes them as they are. It uses `margin` in its loss where the column is there; \
                 the other columns say where each pair comes from.",
            ),
            Self::TrlKto => Some(
                "Answers are in TRL's unpaired conversational layout: `prompt` and `completion` \
                 are lists of messages and `label` says whether the answer was chosen, so \
                 `KTOTrainer(..., train_dataset=rows)` takes them as they are. An answer that was \
                 chosen in one pair and rejected in another is left out.",
            ),
            Self::Distilabel => None,
        }
    }
}
