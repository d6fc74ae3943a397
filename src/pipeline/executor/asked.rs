//! Questions in flight, and which row each belongs to.

use std::collections::HashMap;
use std::rc::Rc;

use super::scopes::Live;
use crate::engine::request::RequestId;
use crate::llm::Answer;
use crate::pipeline::steps::Question;

/// A row that waits for answers.
pub(super) struct Asked {
    /// The row that the questions are about.
    pub(super) live: Rc<Live>,
    /// The step that asks.
    pub(super) step: usize,
    /// Units (rows to come) that are not finished.
    pub(super) n_units_open: usize,
}

/// One row to come.
pub(super) struct Unit {
    /// The waiting row.
    pub(super) asked: u64,
    /// Ordinal of the row to come.
    pub(super) ordinal: u64,
    /// Its questions.
    pub(super) questions: Vec<Question>,
    /// Their answers, as far as they are in.
    pub(super) answers: Vec<Option<Answer>>,
    /// Key of the first question's randomness.
    pub(super) noise: u64,
}

/// All waiting rows.
#[derive(Default)]
pub(super) struct Waiting {
    next: u64,
    rows: HashMap<u64, Asked>,
    units: HashMap<u64, Unit>,
    /// The unit and the place among its questions of each question in flight.
    questions: HashMap<RequestId, (u64, usize)>,
}

impl Waiting {
    /// A new number: for a row, a unit or a question. Numbers only grow, so that questions enter
    /// the model in the order in which they were asked.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Lets a row wait.
    pub(super) fn add_row(&mut self, asked: Asked) -> u64 {
        let number = self.number();
        self.rows.insert(number, asked);
        number
    }

    /// Lets a unit of a row wait.
    pub(super) fn add_unit(&mut self, unit: Unit, questions: &[RequestId]) {
        let number = self.number();
        for (place, question) in questions.iter().enumerate() {
            self.questions.insert(*question, (number, place));
        }
        self.units.insert(number, unit);
    }

    /// Takes an answer in; the unit when it was the last that it waited for. An answer to a unit
    /// that was given up is let go.
    pub(super) fn take(&mut self, answer: Answer) -> Option<Unit> {
        let (number, place) = self.questions.remove(&answer.id)?;
        let unit = self.units.get_mut(&number)?;
        unit.answers[place] = Some(answer);
        if unit.answers.iter().any(Option::is_none) {
            return None;
        }
        self.units.remove(&number)
    }

    /// The row that a unit belongs to.
    pub(super) fn row(&self, asked: u64) -> &Asked {
        &self.rows[&asked]
    }

    /// Counts one unit of a row as finished; true when it was the last, and the row waits no more.
    pub(super) fn finish_unit(&mut self, asked: u64) -> bool {
        let row = self.rows.get_mut(&asked).expect("a row waits for its units");
        row.n_units_open -= 1;
        let is_last = row.n_units_open == 0;
        if is_last {
            self.rows.remove(&asked);
        }
        is_last
    }

    /// Gives a row up; answers to its questions are let go when they come.
    pub(super) fn give_up(&mut self, asked: u64) {
        self.rows.remove(&asked);
        self.units.retain(|_, unit| unit.asked != asked);
    }

    /// Lets the answers to these questions go when they come.
    pub(super) fn let_go(&mut self, questions: &[RequestId]) {
        // Number 0 is nobody's.
        self.questions.extend(questions.iter().map(|question| (*question, (0, 0))));
    }

    /// Whether nothing is owed: neither a row nor an answer.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.questions.is_empty()
    }
}
