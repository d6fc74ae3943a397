//! Which rows are still on their way, so that a root can retire and a group can close.
//!
//! A scope counts the rows below one row that have not come to rest: below a root, until its
//! place in the window is free again; below the ancestor of a step that gathers, until all is in.
//! Nothing here depends on the order in which rows arrive.

use std::collections::HashMap;
use std::rc::Rc;

use crate::data::row::{Columns, Row};
use crate::pipeline::graph::Graph;

/// Names a scope while the executor runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ScopeId(u64);

/// A row in memory, with its place in the order of things.
#[derive(Debug)]
pub(super) struct Live {
    /// The row.
    pub(super) row: Row,
    /// Number of its root among the run's roots.
    pub(super) root: u64,
    /// Ordinals from the root down: the order among the rows of one step.
    pub(super) path: Vec<u64>,
    /// The scope of its root.
    pub(super) root_scope: ScopeId,
    /// Scopes of gathering steps that it may still reach, by the index of each.
    pub(super) gather_scopes: Vec<(usize, ScopeId)>,
}

/// A scope whose rows have all come to rest, or will.
#[derive(Debug)]
pub(super) struct Scope {
    n_open: usize,
    /// What closes with it.
    pub(super) kind: ScopeKind,
}

/// What a scope is for.
#[derive(Debug)]
pub(super) enum ScopeKind {
    /// Below a root row.
    Root(RootScope),
    /// Between a row and a step that gathers what comes of it.
    Gather(GatherScope),
}

/// What closes with a root.
#[derive(Debug)]
pub(super) struct RootScope {
    /// Its number.
    pub(super) root: u64,
    /// Rows of leaf steps: the leaf's index, the row's path, its offset in the step's file.
    pub(super) leaves: Vec<(usize, Vec<u64>, u64)>,
}

/// What a gathering step has of one row.
#[derive(Debug)]
pub(super) struct GatherScope {
    /// Index of the step among the graph's gathers.
    pub(super) gather: usize,
    /// The row that all of them come of.
    pub(super) ancestor: Rc<Live>,
    /// Rows that arrived, with the place of their step among the group's parents.
    pub(super) arrived: Vec<(usize, Rc<Live>)>,
    /// What happened to rows that did not: the root's number and path for order, and the reason.
    pub(super) lost: Vec<(Vec<u64>, String)>,
    /// Scopes that stay open until this one has closed.
    pub(super) enclosing: Vec<ScopeId>,
}

/// All open scopes.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    next: u64,
    open: HashMap<ScopeId, Scope>,
}

impl Live {
    /// Scopes that stay open while this row is on its way into `step`.
    pub(super) fn scopes_into(&self, graph: &Graph, step: usize) -> Vec<ScopeId> {
        let gathers = self.gather_scopes.iter();
        let covering = gathers.filter(|(gather, _)| graph.gathers[*gather].covers(step));
        std::iter::once(self.root_scope).chain(covering.map(|(_, scope)| *scope)).collect()
    }

    /// The columns of a row that nobody else will read; nothing when somebody will.
    pub(super) fn take_columns(live: &mut Rc<Self>) -> Option<Columns> {
        Rc::get_mut(live).map(|own| std::mem::take(&mut own.row.columns))
    }

    /// The scope in which a step gathers this row.
    pub(super) fn scope_of(&self, gather: usize) -> ScopeId {
        let found = self.gather_scopes.iter().find(|(reached, _)| *reached == gather);
        found.expect("a row on its way to a gathering step is below the step's ancestor").1
    }

    /// Scopes that stay open while this row waits in a gathering step: all but the step's own.
    pub(super) fn scopes_beside(&self, graph: &Graph, gather: usize) -> Vec<ScopeId> {
        let own = self.scope_of(gather);
        let mut scopes = self.scopes_into(graph, graph.gathers[gather].step);
        scopes.retain(|scope| *scope != own);
        scopes
    }
}

impl Scopes {
    /// A name for a scope that is opened soon.
    pub(super) fn reserve(&mut self) -> ScopeId {
        self.next += 1;
        ScopeId(self.next)
    }

    /// Opens a scope, held once by the caller.
    pub(super) fn open(&mut self, id: ScopeId, kind: ScopeKind) {
        let before = self.open.insert(id, Scope { n_open: 1, kind });
        assert!(before.is_none(), "a scope is opened once");
    }

    /// Keeps scopes open for one more row.
    pub(super) fn hold(&mut self, ids: &[ScopeId]) {
        for id in ids {
            self.get(*id).n_open += 1;
        }
    }

    /// Lets one row of a scope go; the scope itself when it was the last.
    pub(super) fn release(&mut self, id: ScopeId) -> Option<ScopeKind> {
        let scope = self.get(id);
        scope.n_open -= 1;
        if scope.n_open > 0 {
            return None;
        }
        self.open.remove(&id).map(|scope| scope.kind)
    }

    /// What a step has gathered of one row.
    pub(super) fn gather(&mut self, id: ScopeId) -> &mut GatherScope {
        match &mut self.get(id).kind {
            ScopeKind::Gather(gather) => gather,
            ScopeKind::Root(_) => panic!("a gathering step's scope is named"),
        }
    }

    /// What a root keeps until it retires.
    pub(super) fn root(&mut self, id: ScopeId) -> &mut RootScope {
        match &mut self.get(id).kind {
            ScopeKind::Root(root) => root,
            ScopeKind::Gather(_) => panic!("a root's scope is named"),
        }
    }

    /// Whether nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn get(&mut self, id: ScopeId) -> &mut Scope {
        self.open.get_mut(&id).expect("a scope is open while a row holds it")
    }
}
