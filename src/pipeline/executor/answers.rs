//! The executor's way to the models: questions out, answers in.

use std::borrow::Cow;
use std::rc::Rc;

use super::asked::{Asked, Unit};
use super::scopes::Live;
use super::{Executor, child};
use crate::Result;
use crate::data::journal::Origin;
use crate::data::row::Row;
use crate::engine::request::RequestId;
use crate::llm::{Answer, Ask};
use crate::pipeline::noise::Draw;
use crate::pipeline::plan::index_of;
use crate::pipeline::steps::{Dropped, Question, Source};
use crate::pipeline::watch::Tokens;
use crate::text::guides::AnswerTemplate;

impl Executor<'_, '_, '_> {
    /// Asks for those units of a row that are not on disk.
    pub(super) fn ask(&mut self, step: usize, live: Rc<Live>) -> Result<()> {
        let scopes = live.scopes_into(self.setting.graph, step);
        if let Some(dropped) = self.known_drop(step, live.row.id) {
            self.drop_row(step, &live, &live.row.columns, dropped)?;
            return self.release(&scopes);
        }
        let setting = self.setting;
        let (asking, name) = (setting.asking(step), setting.name(step));
        let mut open = Vec::new();
        for ordinal in 0..asking.n_units() {
            let id = live.row.id.child(name, ordinal);
            match self.store.finished(step, id) {
                Some(offset) => {
                    let entry = self.store.read(step, offset)?;
                    assert_eq!(entry.row.id, id, "half an id names one row of a file");
                    self.tally.row(step, true);
                    self.deliver(step, child(&live, entry.row, ordinal), offset);
                }
                None => open.push(ordinal),
            }
        }
        if open.is_empty() {
            return self.release(&scopes);
        }
        let asked = Asked { live: live.clone(), step, n_units_open: open.len() };
        let asked = self.waiting.add_row(asked);
        for ordinal in open {
            if let Err(dropped) = self.ask_unit(step, &live, asked, ordinal)? {
                // What is wrong with a row is wrong with all its units: it is dropped as one.
                self.drop_row(step, &live, &live.row.columns, dropped)?;
                self.waiting.give_up(asked);
                return self.release(&scopes);
            }
        }
        // Rows that were found above may have closed groups.
        self.release(&[])
    }

    fn ask_unit(
        &mut self,
        step: usize,
        live: &Live,
        asked: u64,
        ordinal: u64,
    ) -> Result<Result<(), Dropped>> {
        let setting = self.setting;
        let asking = setting.asking(step);
        let model = index_of(setting.recipe, asking.model());
        let door = self.doors.door(model, self.tally)?;
        let mut questions = {
            let count = |template: &AnswerTemplate| door.n_tokens_max(template);
            match asking.ask(&live.row.columns, ordinal, &count) {
                Ok(questions) => questions,
                Err(dropped) => return Ok(Err(dropped)),
            }
        };
        let noise = |question: &Question| {
            let draw = Draw {
                seed: asking.seed().unwrap_or(setting.recipe.seed),
                row: live.row.id,
                step: setting.name(step),
                model: setting.model_keys[model],
                sample: question.sample,
                order: question.order,
            };
            draw.key()
        };
        let mut ids = Vec::with_capacity(questions.len());
        for question in &mut questions {
            let id = RequestId(self.waiting.number());
            let noise = noise(question);
            // The row will tell what was asked, not how: the options go with the question.
            let options = std::mem::take(&mut question.options);
            let ask = Ask { id, messages: question.messages.clone(), options, noise };
            if let Err(refusal) = door.submit(ask)? {
                self.waiting.let_go(&ids);
                let (reason, detail) = refusal.0.split_once(": ").unwrap_or((&refusal.0, ""));
                return Ok(Err(Dropped::new(reason, detail)));
            }
            ids.push(id);
        }
        let unit = Unit {
            asked,
            ordinal,
            answers: questions.iter().map(|_| None).collect(),
            noise: noise(&questions[0]),
            questions,
        };
        self.waiting.add_unit(unit, &ids);
        Ok(Ok(()))
    }

    /// Runs one forward of every resident model that has something to do.
    pub(super) fn step_models(&mut self) -> Result<()> {
        let busy = self.doors.busy();
        assert!(!busy.is_empty(), "a row waits for an answer that no model owes");
        for model in busy {
            for answer in self.doors.step(model)? {
                self.tally.answered(model, Tokens::of(&answer));
                if let Some(unit) = self.waiting.take(answer) {
                    self.finish_unit(model, unit)?;
                }
            }
        }
        Ok(())
    }

    /// Makes the row that a unit's answers are for.
    fn finish_unit(&mut self, model: usize, unit: Unit) -> Result<()> {
        let waiting = self.waiting.row(unit.asked);
        let (step, mut live) = (waiting.step, waiting.live.clone());
        let is_last = self.waiting.finish_unit(unit.asked);
        let setting = self.setting;
        let (asking, name) = (setting.asking(step), setting.name(step));
        let answers: Vec<Answer> = unit.answers.into_iter().flatten().collect();
        let source = Source { step: name, model: self.doors.name(model), noise: unit.noise };
        let own = Live::take_columns(&mut live);
        let mut columns = own.map_or(Cow::Borrowed(&live.row.columns), Cow::Owned);
        match asking.read(&mut columns, unit.questions, answers, source) {
            Ok(made) => {
                if let Some(note) = made.note {
                    self.tally.note(step, note);
                }
                let id = live.row.id.child(name, unit.ordinal);
                let origin = Origin {
                    parents: vec![live.row.id],
                    ordinal: unit.ordinal,
                    siblings: asking.n_units(),
                };
                let row = Row { id, columns: made.columns };
                self.finish_row(step, child(&live, row, unit.ordinal), origin)?;
            }
            Err(dropped) => self.drop_row(step, &live, &columns, dropped)?,
        }
        if is_last {
            self.release(&live.scopes_into(self.setting.graph, step))
        } else {
            self.release(&[])
        }
    }
}
