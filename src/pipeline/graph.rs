//! What the flow says about identity: who feeds whom, and where branches part that meet again.
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
    /// The group steps, in topological order.
    pub(crate) groups: Vec<Group>,
    /// For each step, the steps that its rows were rows of: itself first, a loader last.
    pub(crate) lines: Vec<Vec<usize>>,
}

/// A step that joins branches.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    /// The group step.
    pub(crate) step: usize,
    /// The step whose rows part into the branches.
    pub(crate) ancestor: usize,
    /// Steps on the way from the ancestor (not in it) to the group (not in it).
    pub(crate) region: BTreeSet<usize>,
    /// `[parents]` whether the rows of a parent hold several answers each, as lists.
    pub(crate) spread: Vec<bool>,
}

impl Group {
    /// Whether a row on its way into `step` may still reach this group.
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
        let mut groups = Vec::new();
        for (step, (_, kind)) in recipe.steps.iter().enumerate() {
            let mut line = vec![step];
            if matches!(kind, Step::GroupColumns(_)) {
                let ancestor =
                    nearest_common(&parents[step], &lines).ok_or(NoCommonAncestor { step })?;
                let region = upstream[step]
                    .iter()
                    .copied()
                    .filter(|&way| upstream[way].contains(&ancestor))
                    .collect();
                let spread = parents[step]
                    .iter()
                    .map(|parent| {
                        let way = lines[*parent].iter().take_while(|way| **way != ancestor);
                        way.copied().any(|way| gives_lists(&recipe.steps[way].1))
                    })
                    .collect();
                groups.push(Group { step, ancestor, region, spread });
                line.extend(&lines[ancestor]);
            } else if let Some(&parent) = parents[step].first() {
                assert_eq!(parents[step].len(), 1, "only a group has several parents");
                line.extend(&lines[parent]);
            }
            lines.push(line);
        }
        Ok(Self { parents, children, groups, lines })
    }

    /// Steps that feed nothing: each becomes a configuration of the data set.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.children.len()).filter(|&step| self.children[step].is_empty())
    }
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
    use crate::recipe::spec::{GroupColumns, KeepColumns, LoadDataFromDicts};

    fn flow(steps: &[(char, &[usize])]) -> Recipe {
        let kind = |kind: &char| match kind {
            'l' => Step::LoadDataFromDicts(LoadDataFromDicts { data: Vec::new() }),
            'g' => Step::GroupColumns(GroupColumns {
                columns: vec!["x".to_owned()],
                output_columns: None,
                min_generations: None,
            }),
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
        }
    }

    #[test]
    fn branches_part_where_they_were_last_one_row() {
        // load >> a >> [b, c] >> group >> d
        let recipe = flow(&[('l', &[]), ('k', &[0]), ('k', &[1]), ('k', &[1]), ('g', &[2, 3])]);
        let graph = Graph::build(&recipe).unwrap();
        assert_eq!(graph.groups[0].ancestor, 1);
        assert_eq!(graph.groups[0].region, BTreeSet::from([2, 3]));
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
        assert_eq!(graph.groups[1].ancestor, 0);
        assert_eq!(graph.groups[1].region, BTreeSet::from([1, 2, 3, 4]));
        assert!(graph.groups[1].covers(5) && !graph.groups[0].covers(4));
    }

    #[test]
    fn rows_of_two_loaders_never_belong_together() {
        let recipe = flow(&[('l', &[]), ('l', &[]), ('g', &[0, 1])]);
        assert_eq!(Graph::build(&recipe), Err(NoCommonAncestor { step: 2 }));
    }
}
