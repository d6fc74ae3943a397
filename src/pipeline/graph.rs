//! What the flow says about identity: who feeds whom, where branches part that meet again, and
//! which steps must see rows in the data's order.
//!
//! It must not know rows or models. Rows have one parent each, also those of a group, whose parent
//! is the row at which its branches parted. So the steps form a tree of identity, and a group's
//! branches part at the nearest common ancestor of its parents in that tree.

use std::collections::BTreeSet;

use crate::recipe::spec::{Recipe, Step};

/// The flow, seen from both ends. Steps are named by their index in the recipe.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Graph {
    /// Parents of each step, in the flow's order.
    pub(crate) parents: Vec<Vec<usize>>,
    /// Steps that each step feeds, in topological order.
    pub(crate) children: Vec<Vec<usize>>,
    /// The steps that gather rows, in topological order.
    pub(crate) gathers: Vec<Gather>,
    /// For each step, the steps that its rows were rows of: itself first, a loader last.
    pub(crate) lines: Vec<Vec<usize>>,
}

/// A step that works when all rows below one row have come, or never will.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gather {
    /// The gathering step.
    pub(crate) step: usize,
    /// The step whose rows each gather what comes of them.
    pub(crate) ancestor: usize,
    /// Steps on the way from the ancestor (not in it) to the gathering step (not in it).
    pub(crate) region: BTreeSet<usize>,
    /// What is done with them.
    pub(crate) kind: GatherKind,
}

/// What is done with gathered rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum GatherKind {
    /// They become one row.
    Join {
        /// `[parents]` whether the rows of a parent hold several answers each, as lists.
        spread: Vec<bool>,
    },
    /// They are taken one by one, and root after root: the ancestor is the loader.
    InOrder,
}

impl Gather {
    /// Whether a row on its way into `step` may still reach this step.
    pub(crate) fn covers(&self, step: usize) -> bool {
        step == self.step || self.region.contains(&step)
    }
}

/// Branches that never were one row: nothing tells which of their rows belong together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NoCommonAncestor {
    /// The group step.
    pub(crate) step: usize,
}

impl Graph {
    /// Reads the flow of a checked recipe.
    pub(crate) fn build(recipe: &Recipe) -> Result<Self, NoCommonAncestor> {
        let n_steps = recipe.steps.len();
        let parents = recipe.parents.clone();
        let mut children = vec![Vec::new(); n_steps];
        for (step, feeding) in parents.iter().enumerate() {
            for &parent in feeding {
                assert!(parent < step, "steps are in topological order");
                if !children[parent].contains(&step) {
                    children[parent].push(step);
                }
            }
        }
        let upstream = upstream(&parents);
        let mut lines: Vec<Vec<usize>> = Vec::with_capacity(n_steps);
        let mut gathers = Vec::new();
        for (step, (_, kind)) in recipe.steps.iter().enumerate() {
            let mut line = vec![step];
            if matches!(kind, Step::GroupColumns(_)) {
                let ancestor =
                    nearest_common(&parents[step], &lines).ok_or(NoCommonAncestor { step })?;
                let region = between(ancestor, step, &upstream);
                let spread = parents[step]
                    .iter()
                    .map(|parent| {
                        let way = lines[*parent].iter().take_while(|way| **way != ancestor);
                        way.copied().any(|way| gives_lists(&recipe.steps[way].1))
                    })
                    .collect();
                let kind = GatherKind::Join { spread };
                gathers.push(Gather { step, ancestor, region, kind });
                line.extend(&lines[ancestor]);
            } else if let Some(&parent) = parents[step].first() {
                assert_eq!(parents[step].len(), 1, "only a group has several parents");
                line.extend(&lines[parent]);
                if matches!(kind, Step::MinHashDedup(_)) {
                    let ancestor = *line.last().expect("a line ends in a loader");
                    let region = between(ancestor, step, &upstream);
                    gathers.push(Gather { step, ancestor, region, kind: GatherKind::InOrder });
                }
            }
            lines.push(line);
        }
        Ok(Self { parents, children, gathers, lines })
    }

    /// Steps that feed nothing: each becomes a configuration of the data set.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.children.len()).filter(|&step| self.children[step].is_empty())
    }
}

/// Steps on the way from one step to another, without the two.
fn between(from: usize, to: usize, upstream: &[BTreeSet<usize>]) -> BTreeSet<usize> {
    upstream[to].iter().copied().filter(|way| upstream[*way].contains(&from)).collect()
}

/// For each step, all steps before it.
fn upstream(parents: &[Vec<usize>]) -> Vec<BTreeSet<usize>> {
    let mut upstream: Vec<BTreeSet<usize>> = Vec::with_capacity(parents.len());
    for feeding in parents {
        let mut before = BTreeSet::new();
        for &parent in feeding {
            before.insert(parent);
            before.extend(&upstream[parent]);
        }
        upstream.push(before);
    }
    upstream
}

fn gives_lists(step: &Step) -> bool {
    matches!(step, Step::TextGeneration(spec) if spec.group_generations)
}

fn nearest_common(steps: &[usize], lines: &[Vec<usize>]) -> Option<usize> {
    let (first, others) = steps.split_first()?;
    lines[*first]
        .iter()
        .copied()
        .find(|ancestor| others.iter().all(|&other| lines[other].contains(ancestor)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::spec::{GroupColumns, KeepColumns, LoadDataFromDicts, MinHashDedup};

    fn flow(steps: &[(char, &[usize])]) -> Recipe {
        let kind = |kind: &char| match kind {
            'l' => Step::LoadDataFromDicts(LoadDataFromDicts { data: Vec::new() }),
            'g' => Step::GroupColumns(GroupColumns {
                columns: vec!["x".to_owned()],
                output_columns: None,
                min_generations: None,
            }),
            'd' => Step::MinHashDedup(MinHashDedup::default()),
            _ => Step::KeepColumns(KeepColumns { columns: Vec::new() }),
        };
        Recipe {
            name: "t".to_owned(),
            seed: 0,
            deterministic: true,
            test_share: 0.0,
            models: Vec::new(),
            steps: steps
                .iter()
                .enumerate()
                .map(|(i, (letter, _))| (format!("s{i}"), kind(letter)))
                .collect(),
            parents: steps.iter().map(|(_, parents)| parents.to_vec()).collect(),
            push: None,
        }
    }

    #[test]
    fn branches_part_where_they_were_last_one_row() {
        // load >> a >> [b, c] >> group >> d
        let recipe = flow(&[('l', &[]), ('k', &[0]), ('k', &[1]), ('k', &[1]), ('g', &[2, 3])]);
        let graph = Graph::build(&recipe).unwrap();
        assert_eq!(graph.gathers[0].ancestor, 1);
        assert_eq!(graph.gathers[0].region, BTreeSet::from([2, 3]));
        assert_eq!(graph.leaves().collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn a_group_inside_a_branch_stands_for_its_ancestor() {
        // load >> [a, b] >> g1; load >> c; [g1, c] >> g2
        let recipe = flow(&[
            ('l', &[]),
            ('k', &[0]),
            ('k', &[0]),
            ('g', &[1, 2]),
            ('k', &[0]),
            ('g', &[3, 4]),
        ]);
        let graph = Graph::build(&recipe).unwrap();
        assert_eq!(graph.gathers[1].ancestor, 0);
        assert_eq!(graph.gathers[1].region, BTreeSet::from([1, 2, 3, 4]));
        assert!(graph.gathers[1].covers(5) && !graph.gathers[0].covers(4));
    }

    #[test]
    fn rows_come_in_order_from_the_loader_on() {
        // load >> a >> [b, c]; [b >> dedup, c] >> group
        let recipe =
            flow(&[('l', &[]), ('k', &[0]), ('k', &[1]), ('d', &[2]), ('k', &[1]), ('g', &[3, 4])]);
        let gathers = Graph::build(&recipe).unwrap().gathers;
        assert_eq!((gathers[0].ancestor, &gathers[0].kind), (0, &GatherKind::InOrder));
        assert_eq!(gathers[0].region, BTreeSet::from([1, 2]));
        assert_eq!((gathers[1].ancestor, gathers[1].covers(3)), (1, true));
    }

    #[test]
    fn rows_of_two_loaders_never_belong_together() {
        let recipe = flow(&[('l', &[]), ('l', &[]), ('g', &[0, 1])]);
        assert_eq!(Graph::build(&recipe), Err(NoCommonAncestor { step: 2 }));
    }
}
