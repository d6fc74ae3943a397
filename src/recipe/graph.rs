//! Steps by name and the edges between them, whoever wrote them: the flow of a file or `>>` in
//! Rust. It must not know what a step does.

use super::place::Place;

/// A directed graph over names, in the order of first mention.
#[derive(Debug, Clone, Default)]
pub(super) struct Graph {
    /// Names, each with the place of its first mention.
    pub(super) names: Vec<(String, Place)>,
    /// Edges in the order in which they were written.
    pub(super) edges: Vec<Edge>,
}

/// One `>>` between two steps.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Where the child was named.
    pub(super) place: Place,
}

/// Steps that lead back to the first of them.
#[derive(Debug)]
pub(super) struct Cycle {
    pub(super) steps: Vec<usize>,
    pub(super) place: Place,
}

impl Graph {
    /// The number of the step of this name, which is added when it is new.
    pub(super) fn step(&mut self, name: &str, place: &Place) -> usize {
        match self.index_of(name) {
            Some(idx) => idx,
            None => {
                self.names.push((name.to_owned(), place.clone()));
                self.names.len() - 1
            }
        }
    }

    /// The number of the step of this name.
    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|(known, _)| known == name)
    }

    /// Adds an edge unless it is there.
    pub(super) fn edge(&mut self, from: usize, to: usize, place: &Place) {
        if !self.edges.iter().any(|edge| edge.from == from && edge.to == to) {
            self.edges.push(Edge { from, to, place: place.clone() });
        }
    }

    /// Parents of `step`, in the order in which they were written.
    pub(super) fn parents(&self, step: usize) -> Vec<usize> {
        self.edges.iter().filter(|edge| edge.to == step).map(|edge| edge.from).collect()
    }

    /// `step` and all steps that it descends from. The graph must have no cycle.
    pub(super) fn lineage(&self, step: usize) -> Vec<usize> {
        let mut lineage = vec![step];
        let mut next = 0;
        while next < lineage.len() {
            for parent in self.parents(lineage[next]) {
                if !lineage.contains(&parent) {
                    lineage.push(parent);
                }
            }
            next += 1;
        }
        lineage
    }

    /// All steps, parents before children, otherwise in the order of first mention.
    ///
    /// # Errors
    /// One cycle, if there is one.
    pub(super) fn order(&self) -> Result<Vec<usize>, Cycle> {
        let mut order: Vec<usize> = Vec::new();
        while order.len() < self.names.len() {
            let ready = (0..self.names.len()).find(|step| {
                !order.contains(step) && self.parents(*step).iter().all(|p| order.contains(p))
            });
            match ready {
                Some(step) => order.push(step),
                None => return Err(self.cycle(&order)),
            }
        }
        Ok(order)
    }

    /// A cycle among the steps outside `done`, each of which has a parent outside it.
    fn cycle(&self, done: &[usize]) -> Cycle {
        let blocked = |step: &usize| !done.contains(step);
        let mut walk: Vec<usize> = (0..self.names.len()).filter(blocked).take(1).collect();
        loop {
            let last = walk[walk.len() - 1];
            let parent = self.parents(last).into_iter().find(blocked);
            let parent = parent.expect("a step that is not done waits for one that is not done");
            if let Some(start) = walk.iter().position(|step| *step == parent) {
                let mut steps = walk.split_off(start);
                steps.reverse();
                let earliest = (0..steps.len()).min_by_key(|idx| steps[*idx]).unwrap_or(0);
                steps.rotate_left(earliest);
                let closing = (steps[steps.len() - 1], steps[0]);
                let edge = self.edges.iter().find(|edge| (edge.from, edge.to) == closing);
                let place = edge.map_or(Place::Nowhere, |edge| edge.place.clone());
                return Cycle { steps, place };
            }
            walk.push(parent);
        }
    }
}
