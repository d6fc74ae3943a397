//! What lanes of a warp do together: shuffles, votes, fragments of matrices and their products.

use super::WARP;
use super::counts;
use super::tensor_core;
use super::warp::{Surroundings, Warp, lanes_of};
use crate::fault::Fault;
use crate::ptx::{Shuffle, Source, Space, Together, Vote};

impl Warp {
    /// Whether all lanes that an instruction wants are among `active`.
    pub(super) fn are_together(&self, together: &Together, active: u32) -> bool {
        match together {
            Together::Barrier { members }
            | Together::Shuffle { members, .. }
            | Together::Vote { members, .. } => {
                let members = self.lanes(members);
                lanes_of(active).all(|lane| members[lane] as u32 & !active == 0)
            }
            Together::LoadMatrices { .. } | Together::Multiply { .. } => active == u32::MAX,
            Together::Active { .. } => true,
        }
    }

    /// Does what the lanes of `active` do with one another.
    pub(super) fn together(
        &mut self,
        together: &Together,
        active: u32,
        around: &mut Surroundings<'_>,
    ) -> Result<(), Fault> {
        match together {
            Together::Barrier { .. } => self.time += 1,
            Together::Shuffle { to, found, kind, a, b, clamp, .. } => {
                self.shuffle(*to, *found, *kind, [a, b, clamp], active)?;
            }
            Together::Vote { kind, to, asked, .. } => {
                let asked = self.predicate(*asked) & active;
                let all_or_none = |is: bool| if is { u32::MAX } else { 0 };
                match kind {
                    Vote::All => self.put_predicate(*to, all_or_none(asked == active), active),
                    Vote::Any => self.put_predicate(*to, all_or_none(asked != 0), active),
                    Vote::Ballot => self.put(*to, &[u64::from(asked); WARP], active),
                }
            }
            Together::Active { to } => self.put(*to, &[u64::from(active); WARP], active),
            Together::LoadMatrices { to, from, transposed } => {
                if counts::are_wanted() {
                    let rows = (0..to.len() * 8).filter_map(|lane| self.place(from, lane, 16).ok());
                    let rows: Vec<u64> = rows.map(|(_, at)| at).collect();
                    around.counts.shared(&rows, 16);
                }
                for (matrix, to) in to.iter().enumerate() {
                    let mut rows = [[0; 8]; 8];
                    for (row, elements) in rows.iter_mut().enumerate() {
                        let lane = matrix * 8 + row;
                        let (Space::Shared, at) = self.place(from, lane, 16)? else {
                            return Err(Fault::new("matrices are loaded from shared memory"));
                        };
                        // The instruction reads for all lanes at once; the lane of the address
                        // stands for them.
                        let now = self.moment(lane, around.block_time);
                        let bytes = around.shared.read(at, 16, now)?;
                        for (element, pair) in elements.iter_mut().zip(bytes.chunks_exact(2)) {
                            *element = u16::from_le_bytes([pair[0], pair[1]]);
                        }
                    }
                    let lanes = tensor_core::fragment(&rows, *transposed);
                    self.put(*to, &lanes, active);
                }
            }
            Together::Multiply { to, a, b, c, factors } => {
                around.counts.n_products += 1;
                let lanes = tensor_core::multiply(
                    a.map(|register| &self.registers[register]),
                    b.map(|register| &self.registers[register]),
                    [&c[0], &c[1], &c[2], &c[3]].map(|source| self.lanes(source)),
                    *factors,
                );
                for (to, lanes) in to.iter().zip(&lanes) {
                    self.put(*to, lanes, active);
                }
            }
        }
        Ok(())
    }

    fn shuffle(
        &mut self,
        to: usize,
        found: Option<usize>,
        kind: Shuffle,
        [a, b, clamp]: [&Source; 3],
        active: u32,
    ) -> Result<(), Fault> {
        let (a, b, clamp) = (*self.lanes(a), *self.lanes(b), *self.lanes(clamp));
        let (mut lanes, mut inside) = ([0; WARP], 0);
        for lane in lanes_of(active) {
            let distance = (b[lane] & 31) as usize;
            let (end, segment) = ((clamp[lane] & 31) as usize, (clamp[lane] >> 8 & 31) as usize);
            let (low, high) = (lane & segment, lane & segment | end & !segment);
            let (from, is_inside) = match kind {
                Shuffle::Up => (lane.wrapping_sub(distance), lane >= distance + high),
                Shuffle::Down => (lane + distance, lane + distance <= high),
                Shuffle::Butterfly => (lane ^ distance, lane ^ distance <= high),
                Shuffle::Index => {
                    let from = low | distance & !segment;
                    (from, from <= high)
                }
            };
            let from = if is_inside { from } else { lane };
            if active >> from & 1 == 0 {
                return Err(Fault::new(format!(
                    "lane {lane} asks lane {from}, which is not there"
                )));
            }
            lanes[lane] = a[from];
            inside |= u32::from(is_inside) << lane;
        }
        self.put(to, &lanes, active);
        if let Some(found) = found {
            self.put_predicate(found, inside, active);
        }
        Ok(())
    }
}
