//! The loop that moves rows through the flow: one thread, no clock, no arrival order.
//!
//! Ready rows are taken in (step, row) order and turned into rows or questions; then every
//! resident model runs one forward, in the recipe's order; answers become rows, each is on disk
//! before anything is made of it. A bounded number of roots is on its way at a time, so that
//! memory does not grow with the data. A row that is on disk already is read, not made.

mod answers;
mod asked;
mod gates;
mod scopes;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use asked::Waiting;
use gates::Gate;
use scopes::{GatherScope, Live, RootScope, ScopeId, ScopeKind, Scopes};

use super::doors::Doors;
use super::feed::{Fed, Feed};
use super::graph::{GatherKind, Graph};
use super::noise::Draw;
use super::steps::{Asking, Branch, Dropped, Runner};
use super::store::Store;
use super::tally::Tally;
use crate::data::dropped::Dropped as DroppedLine;
use crate::data::journal::{Entry, Origin};
use crate::data::row::{Columns, Row, RowId};
use crate::recipe::spec::Recipe;
use crate::{Error, Result};

/// What stays the same while an executor runs.
pub(crate) struct Setting<'a> {
    /// What is run.
    pub(crate) recipe: &'a Recipe,
    /// Its flow.
    pub(crate) graph: &'a Graph,
    /// Its steps.
    pub(crate) runners: &'a [Runner],
    /// Content keys of the models, in the recipe's order.
    pub(crate) model_keys: Vec<&'a str>,
    /// `[steps]` whether this stage runs a step; those that it does not, later stages do.
    pub(crate) enabled: Vec<bool>,
    /// Stops the run from outside.
    pub(crate) interrupt: &'a AtomicBool,
}

/// What a run over all roots leaves behind.
pub(crate) struct Leaf {
    /// Number of the root and of the row below it: the order of the data set.
    pub(crate) order: (u32, u32),
    /// Where the row stands in the leaf's file.
    pub(crate) offset: u64,
}

/// Fewest and most roots on their way at a time.
const N_ROOTS: RangeInclusive<usize> = 64..=2048;

/// The flow at work.
pub(crate) struct Executor<'b, 't, 'd> {
    setting: &'b Setting<'b>,
    doors: &'b mut Doors<'d>,
    store: &'b mut Store,
    tally: &'b mut Tally<'t>,
    scopes: Scopes,
    /// Rows on their way into a step, by step, root and path.
    ready: BTreeMap<(usize, u64, Vec<u64>), Rc<Live>>,
    waiting: Waiting,
    /// `[gathers]` the ones that take rows in order.
    gates: Vec<Option<Gate>>,
    n_roots_open: usize,
    n_roots_fed: u64,
    /// `[steps]` rows of leaves.
    leaves: Vec<Vec<Leaf>>,
    /// Scopes that `deliver` opened and holds until everything of the row is sent on.
    closing: VecDeque<ScopeId>,
}

impl Setting<'_> {
    fn asking(&self, step: usize) -> &dyn Asking {
        self.runners[step].asking().expect("only steps with a model ask")
    }

    fn name(&self, step: usize) -> &str {
        &self.recipe.steps[step].0
    }
}

impl<'b, 't, 'd> Executor<'b, 't, 'd> {
    pub(crate) fn new(
        setting: &'b Setting<'b>,
        doors: &'b mut Doors<'d>,
        store: &'b mut Store,
        tally: &'b mut Tally<'t>,
    ) -> Self {
        let leaves = setting.enabled.iter().map(|_| Vec::new()).collect();
        let gathers = setting.graph.gathers.iter();
        let gates = gathers.map(|gather| Gate::of(&setting.runners[gather.step])).collect();
        Self {
            setting,
            doors,
            store,
            tally,
            scopes: Scopes::default(),
            ready: BTreeMap::new(),
            waiting: Waiting::default(),
            gates,
            n_roots_open: 0,
            n_roots_fed: 0,
            leaves,
            closing: VecDeque::new(),
        }
    }

    /// Moves all rows of `feed`; the rows of each leaf, in the data's order.
    ///
    /// # Errors
    /// When the disk, a file or a model fails, or the run is interrupted. What was finished is on
    /// disk in any case.
    pub(crate) fn run(mut self, mut feed: Feed<'_>) -> Result<Vec<Vec<Leaf>>> {
        let ended = self.turn(&mut feed);
        self.store.sync()?;
        ended?;
        for leaf in &mut self.leaves {
            leaf.sort_unstable_by_key(|row| row.order);
        }
        Ok(self.leaves)
    }

    fn turn(&mut self, feed: &mut Feed<'_>) -> Result<()> {
        let mut more = true;
        loop {
            if self.setting.interrupt.load(Ordering::Relaxed) {
                let resume = "run the same command again to go on".to_owned();
                return Err(Error::Interrupted { resume });
            }
            while more && self.n_roots_open < self.window() {
                more = self.take_in(feed)?;
            }
            while let Some(((step, ..), live)) = self.ready.pop_first() {
                self.advance(step, live)?;
            }
            if !self.waiting.is_empty() {
                self.step_models()?;
                continue;
            }
            assert!(self.scopes.is_empty(), "a row was lost");
            if !more {
                return Ok(());
            }
        }
    }

    /// Roots on their way at a time: enough that every open model has twice what keeps it busy, and
    /// few enough that memory does not grow with the data.
    fn window(&self) -> usize {
        (2 * self.doors.n_wanted()).clamp(*N_ROOTS.start(), *N_ROOTS.end())
    }

    /// Takes one root in; false when there are no more.
    fn take_in(&mut self, feed: &mut Feed<'_>) -> Result<bool> {
        match feed.next()? {
            None => return Ok(false),
            Some(Fed::Bad { step, record }) => {
                let reused = self.store.gone(step, record.id).is_some();
                let line = record.into_dropped(self.setting.name(step));
                self.tally.dropped(step, &line.reason, reused);
                if !reused {
                    self.store.drop_row(&line)?;
                }
            }
            Some(Fed::Row { step, row }) => {
                let root = self.n_roots_fed;
                self.n_roots_fed += 1;
                self.n_roots_open += 1;
                let root_scope = self.scopes.reserve();
                let kind = RootScope { root, leaves: Vec::new() };
                self.scopes.open(root_scope, ScopeKind::Root(kind));
                let path = Vec::new();
                let live = Live { row, root, path, root_scope, gather_scopes: Vec::new() };
                self.finish_row(step, live, Origin::root())?;
                self.release(&[root_scope])?;
            }
        }
        Ok(true)
    }

    /// Moves a row into a step.
    fn advance(&mut self, step: usize, mut live: Rc<Live>) -> Result<()> {
        let setting = self.setting;
        match &setting.runners[step] {
            Runner::Load | Runner::Group(_) | Runner::Dedup(_) => {
                unreachable!("rows are gathered, not moved, there")
            }
            Runner::Plain(plain) => {
                let own = Live::take_columns(&mut live);
                let mut columns = own.map_or(Cow::Borrowed(&live.row.columns), Cow::Owned);
                let draw = Draw {
                    seed: setting.recipe.seed,
                    row: live.row.id,
                    step: setting.name(step),
                    model: "",
                    sample: 0,
                    order: 0,
                };
                match plain.apply(&mut columns, draw) {
                    Ok(rows) => {
                        let siblings = rows.len() as u64;
                        for (ordinal, columns) in (0..).zip(rows) {
                            self.make_child(step, &live, columns, (ordinal, siblings))?;
                        }
                    }
                    Err(dropped) => self.drop_row(step, &live, &columns, dropped)?,
                }
                self.release(&live.scopes_into(setting.graph, step))
            }
            Runner::Asking(_) | Runner::Judge(_) => self.ask(step, live),
        }
    }

    /// Writes down a row that `step` made of `parent` and sends it on; where it stands.
    fn make_child(
        &mut self,
        step: usize,
        parent: &Live,
        columns: Columns,
        (ordinal, siblings): (u64, u64),
    ) -> Result<u64> {
        let id = parent.row.id.child(self.setting.name(step), ordinal);
        let origin = Origin { parents: vec![parent.row.id], ordinal, siblings };
        self.finish_row(step, child(parent, Row { id, columns }, ordinal), origin)
    }

    /// Writes a row down, unless it stands there, and sends it on; where it stands.
    fn finish_row(&mut self, step: usize, mut live: Live, origin: Origin) -> Result<u64> {
        let offset = match self.store.finished(step, live.row.id) {
            Some(offset) => {
                self.tally.row(step, true);
                offset
            }
            None => {
                let entry = Entry { row: live.row, origin };
                let offset = self.store.append(step, &entry)?;
                live.row = entry.row;
                self.tally.row(step, false);
                offset
            }
        };
        self.deliver(step, live, offset);
        Ok(offset)
    }

    /// Sends a row that is on disk on to the steps that `step` feeds.
    fn deliver(&mut self, step: usize, mut live: Live, offset: u64) {
        let (graph, setting) = (self.setting.graph, self.setting);
        if graph.children[step].is_empty() {
            let root = self.scopes.root(live.root_scope);
            root.leaves.push((step, live.path, offset));
            return;
        }
        let mut opened = Vec::new();
        for (index, gather) in graph.gathers.iter().enumerate() {
            if gather.ancestor == step && setting.enabled[gather.step] {
                let scope = self.scopes.reserve();
                live.gather_scopes.push((index, scope));
                opened.push((index, scope));
            }
        }
        let live = Rc::new(live);
        for (gather, scope) in &opened {
            let (enclosing, gather) = (live.scopes_beside(graph, *gather), *gather);
            let (ancestor, arrived, lost) = (live.clone(), Vec::new(), Vec::new());
            let kind = GatherScope { gather, ancestor, arrived, lost, enclosing };
            self.scopes.open(*scope, ScopeKind::Gather(kind));
            if let Some(gate) = &mut self.gates[gather] {
                gate.expect(*scope);
            }
        }
        for (_, scope) in &opened {
            let enclosing = self.scopes.gather(*scope).enclosing.clone();
            self.scopes.hold(&enclosing);
        }
        for child in graph.children[step].iter().copied().filter(|child| setting.enabled[*child]) {
            let Some(index) = graph.gathers.iter().position(|gather| gather.step == child) else {
                self.scopes.hold(&live.scopes_into(graph, child));
                self.ready.insert((child, live.root, live.path.clone()), live.clone());
                continue;
            };
            let scope = live.scope_of(index);
            let places = graph.parents[child].iter().enumerate();
            for (place, _) in places.filter(|(_, parent)| **parent == step) {
                if graph.gathers[index].kind == GatherKind::InOrder {
                    // A group's row comes of the ancestor, this one of itself: it is still under way.
                    self.scopes.hold(&live.scopes_beside(graph, index));
                }
                self.scopes.gather(scope).arrived.push((place, live.clone()));
            }
        }
        self.closing.extend(opened.iter().map(|(_, scope)| *scope));
    }

    /// Lets go of scopes, and closes those that nothing holds any more.
    fn release(&mut self, ids: &[ScopeId]) -> Result<()> {
        let mut left: VecDeque<ScopeId> = std::mem::take(&mut self.closing);
        left.extend(ids);
        while let Some(id) = left.pop_front() {
            match self.scopes.release(id) {
                None => {}
                Some(ScopeKind::Root(root)) => self.retire(root),
                Some(ScopeKind::Gather(gathered)) => {
                    let freed = match &self.setting.graph.gathers[gathered.gather].kind {
                        GatherKind::Join { spread } => self.close_group(gathered, spread)?,
                        GatherKind::InOrder => self.close_gate(id, gathered)?,
                    };
                    left.append(&mut self.closing);
                    left.extend(freed);
                }
            }
        }
        Ok(())
    }

    fn retire(&mut self, mut root: RootScope) {
        self.n_roots_open -= 1;
        root.leaves.sort();
        let number = u32::try_from(root.root).expect("fewer than four billion roots");
        for (nth, (step, _, offset)) in (0..).zip(root.leaves) {
            self.leaves[step].push(Leaf { order: (number, nth), offset });
        }
        self.tally.root_done();
    }

    /// Joins what arrived; returns the scopes that waited for the group.
    fn close_group(&mut self, mut scope: GatherScope, spread: &[bool]) -> Result<Vec<ScopeId>> {
        let setting = self.setting;
        let group = &setting.graph.gathers[scope.gather];
        let Runner::Group(runner) = &setting.runners[group.step] else {
            unreachable!("a group's step is a group");
        };
        scope.arrived.sort_by(|(place, row), (other_place, other)| {
            (place, &row.path).cmp(&(other_place, &other.path))
        });
        scope.lost.sort();
        let branches: Vec<Branch<'_>> = scope
            .arrived
            .iter()
            .map(|(place, row)| Branch { columns: &row.row.columns, spread: spread[*place] })
            .collect();
        let lost: Vec<String> = scope.lost.into_iter().map(|(_, reason)| reason).collect();
        match runner.join(&scope.ancestor.row.columns, &branches, &lost) {
            Ok(columns) => {
                let id = scope.ancestor.row.id.child(setting.name(group.step), 0);
                let parents = scope.arrived.iter().map(|(_, row)| row.row.id).collect();
                let origin = Origin { parents, ordinal: 0, siblings: 1 };
                let live = child(&scope.ancestor, Row { id, columns }, 0);
                self.finish_row(group.step, live, origin)?;
            }
            Err(dropped) => {
                let ancestor = &scope.ancestor;
                self.drop_row(group.step, ancestor, &ancestor.row.columns, dropped)?;
            }
        }
        Ok(scope.enclosing)
    }

    /// Writes down that a row went no further than `step`, and tells the groups that wait for it.
    fn drop_row(
        &mut self,
        step: usize,
        live: &Live,
        columns: &Columns,
        dropped: Dropped,
    ) -> Result<()> {
        let name = self.setting.name(step);
        let reused = self.store.gone_so(step, live.row.id, &dropped.reason, &dropped.detail);
        self.tally.dropped(step, &dropped.reason, reused);
        for (gather, scope) in &live.gather_scopes {
            let gather = &self.setting.graph.gathers[*gather];
            let joins = matches!(gather.kind, GatherKind::Join { .. });
            if joins && gather.step != step && gather.covers(step) {
                let reason = format!("{name}: {}", dropped.reason);
                self.scopes.gather(*scope).lost.push((live.path.clone(), reason));
            }
        }
        if !reused {
            self.store.drop_row(&DroppedLine {
                row: live.row.id,
                step: name.to_owned(),
                reason: dropped.reason,
                detail: Some(dropped.detail).filter(|detail| !detail.is_empty()),
                columns: columns.clone(),
            })?;
        }
        Ok(())
    }

    fn known_drop(&mut self, step: usize, id: RowId) -> Option<Dropped> {
        let gone = self.store.gone(step, id)?;
        Some(Dropped::new(gone.reason.clone(), gone.detail.clone()))
    }
}

/// A row below another.
fn child(parent: &Live, row: Row, ordinal: u64) -> Live {
    let mut path = parent.path.clone();
    path.push(ordinal);
    Live {
        row,
        root: parent.root,
        path,
        root_scope: parent.root_scope,
        gather_scopes: parent.gather_scopes.clone(),
    }
}
