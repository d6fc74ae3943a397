//! Steps that must see rows in the data's order, whenever those arrive.
//!
//! A gate gathers what comes of each root and lets it through root after root, as a queue: a root
//! passes when all its rows are here and all roots before it have passed. That is no barrier over
//! the data. What waits is bounded by the roots that are on their way at a time, and steps behind
//! the gate work on early roots while steps before it work on late ones.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use serde_json::Value;

use super::Executor;
use super::scopes::{GatherScope, Live, ScopeId};
use crate::Result;
use crate::data::row::Columns;
use crate::pipeline::steps::{Runner, Seen};
use crate::recipe::spec::MinHashDedup;

/// What waits before one step.
pub(super) struct Gate {
    /// Roots that have not passed, in their order.
    queue: VecDeque<ScopeId>,
    /// Rows of those roots that wait for an earlier one, by path.
    gathered: HashMap<ScopeId, Vec<Rc<Live>>>,
    /// What the step knows of the rows that have passed.
    seen: Seen,
}

impl Gate {
    /// The gate before a step that needs one.
    pub(super) fn of(runner: &Runner) -> Option<Self> {
        match runner {
            Runner::Dedup(dedup) => {
                let (queue, gathered) = (VecDeque::new(), HashMap::new());
                Some(Self { queue, gathered, seen: dedup.begin() })
            }
            Runner::Load
            | Runner::Plain(_)
            | Runner::Asking(_)
            | Runner::Judge(_)
            | Runner::Group(_) => None,
        }
    }

    /// Puts a root at the end of the queue.
    pub(super) fn expect(&mut self, scope: ScopeId) {
        self.queue.push_back(scope);
    }

    /// The rows of the next root, if they are all here.
    fn next(&mut self) -> Option<Vec<Rc<Live>>> {
        let rows = self.gathered.remove(self.queue.front()?)?;
        self.queue.pop_front();
        Some(rows)
    }
}

impl Executor<'_, '_, '_> {
    /// Takes in that all rows of a root are here, and lets through what may pass now; returns the
    /// scopes that waited.
    pub(super) fn close_gate(&mut self, id: ScopeId, scope: GatherScope) -> Result<Vec<ScopeId>> {
        let (graph, index) = (self.setting.graph, scope.gather);
        let step = graph.gathers[index].step;
        let mut freed = scope.enclosing;
        let mut rows: Vec<Rc<Live>> = scope.arrived.into_iter().map(|(_, row)| row).collect();
        // The ancestor goes first, so that a row which nobody else reads can give its columns on.
        drop(scope.ancestor);
        rows.sort_by(|a, b| a.path.cmp(&b.path));
        let mut gate = self.gates[index].take().expect("this step has a gate");
        gate.gathered.insert(id, rows);
        while let Some(rows) = gate.next() {
            for row in rows {
                freed.extend(row.scopes_beside(graph, index));
                self.pass(step, row, &mut gate.seen)?;
            }
        }
        self.gates[index] = Some(gate);
        Ok(freed)
    }

    /// Lets one row into the step.
    fn pass(&mut self, step: usize, mut live: Rc<Live>, seen: &mut Seen) -> Result<()> {
        let setting = self.setting;
        let Runner::Dedup(dedup) = &setting.runners[step] else {
            unreachable!("a gate stands before a step that compares");
        };
        let store = &mut *self.store;
        let mut fetch =
            |offset: u64| -> Result<Columns> { Ok(store.read(step, offset)?.row.columns) };
        let duplicate = dedup.look(seen, &live.row.columns, &mut fetch)?;
        let is_new = duplicate.is_none();
        if let Some(dropped) = duplicate.filter(|dropped| !dedup.only_flags(dropped)) {
            return self.drop_row(step, &live, &live.row.columns, dropped);
        }
        let own = Live::take_columns(&mut live);
        let mut columns = own.unwrap_or_else(|| live.row.columns.clone());
        columns.insert(MinHashDedup::FLAG.to_owned(), Value::Bool(is_new));
        let offset = self.make_child(step, &live, columns, (0, 1))?;
        if is_new {
            seen.keep(live.row.id, offset);
        }
        Ok(())
    }
}
