//! Which trainer reads which layout, and what keeps the others from it.
//!
//! Read out of the trainers' own loaders; where a trainer takes a row without a word and trains on
//! something else, that is no fit either.

use super::schema::Schema;
use crate::data::export::Format;

/// Whether a trainer reads a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// As it is.
    Yes,
    /// With this in its configuration.
    With(&'static str),
    /// No, and why.
    No(&'static str),
}

impl Fit {
    /// Whether it does not.
    pub fn is_no(self) -> bool {
        matches!(self, Self::No(_))
    }
}

const ONE_ANSWER: Fit = Fit::No("a row holds one answer, and a pair is wanted");
const OTHER_COLUMNS: Fit = Fit::No("its columns have other names and kinds");
const LETTERS: Fit =
    Fit::No("the prompt would be cut out by comparing both sides letter by letter");
const TEXT_BESIDE_LISTS: Fit = Fit::No("prompt and sides are of two kinds, text and messages");

impl Schema {
    /// Whether the trainer of `format` reads this layout.
    pub fn fit(self, format: Format) -> Fit {
        match format {
            Format::Trl => self.fit_dpo(),
            Format::TrlImplicit if self == Self::TextImplicit => Fit::Yes,
            Format::TrlImplicit => self.fit_dpo(),
            Format::TrlKto if self.is_unpaired() => Fit::Yes,
            Format::TrlKto => self.fit_dpo(),
            Format::Axolotl => self.fit_axolotl(),
            Format::LlamaFactory => self.fit_llama_factory(),
            Format::NemoRl if self == Self::Ranked => Fit::Yes,
            Format::NemoRl if matches!(self, Self::Text | Self::Mixed) => {
                Fit::With("dataset_name: BinaryPreferenceDataset")
            }
            Format::NemoRl => OTHER_COLUMNS,
            Format::OpenRlhf => self.fit_openrlhf(),
            Format::Distilabel if self == Self::Distilabel => Fit::Yes,
            Format::Jsonl if self == Self::Text => Fit::Yes,
            Format::Distilabel | Format::Jsonl => OTHER_COLUMNS,
        }
    }

    fn fit_dpo(self) -> Fit {
        match self {
            Self::Explicit | Self::Implicit | Self::Text => Fit::Yes,
            Self::TextImplicit => LETTERS,
            Self::Distilabel | Self::Mixed => TEXT_BESIDE_LISTS,
            Self::Unpaired | Self::TextUnpaired => ONE_ANSWER,
            Self::Axolotl | Self::ShareGpt | Self::Alpaca | Self::Ranked => OTHER_COLUMNS,
        }
    }

    fn is_unpaired(self) -> bool {
        matches!(self, Self::Unpaired | Self::TextUnpaired)
    }

    fn fit_axolotl(self) -> Fit {
        match self {
            Self::Axolotl => Fit::Yes,
            Self::Explicit | Self::Text | Self::Distilabel | Self::Mixed => {
                Fit::With("field_messages: prompt")
            }
            Self::Implicit => Fit::With("type: chat_template.argilla_chat"),
            Self::TextImplicit => LETTERS,
            Self::Unpaired | Self::TextUnpaired => ONE_ANSWER,
            Self::ShareGpt | Self::Alpaca | Self::Ranked => OTHER_COLUMNS,
        }
    }

    fn fit_llama_factory(self) -> Fit {
        match self {
            Self::ShareGpt | Self::Alpaca => Fit::Yes,
            Self::Text => Fit::With("columns.prompt = prompt in dataset_info.json"),
            Self::Axolotl => Fit::With("formatting = openai with its tags in dataset_info.json"),
            Self::Unpaired | Self::TextUnpaired => ONE_ANSWER,
            Self::Explicit | Self::Implicit | Self::Distilabel => {
                Fit::No("a side that is a list is read as ordinary training data")
            }
            Self::TextImplicit | Self::Mixed | Self::Ranked => OTHER_COLUMNS,
        }
    }

    fn fit_openrlhf(self) -> Fit {
        match self {
            Self::Explicit => Fit::With("--data.prompt_key prompt --data.apply_chat_template"),
            Self::Implicit | Self::Distilabel => Fit::With("--data.apply_chat_template"),
            Self::Text => Fit::With("--data.prompt_key prompt"),
            Self::TextImplicit => Fit::Yes,
            Self::Mixed => TEXT_BESIDE_LISTS,
            Self::Unpaired | Self::TextUnpaired => ONE_ANSWER,
            Self::Axolotl | Self::ShareGpt | Self::Alpaca | Self::Ranked => OTHER_COLUMNS,
        }
    }
}
