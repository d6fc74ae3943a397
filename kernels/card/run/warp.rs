//! A warp: 32 threads that run together as long as they go the same way.
//!
//! Where they part, those who are furthest behind go first, so that they meet again; an instruction
//! that wants several of them together waits for them, and fails when they cannot come.

use super::counts::Counts;
use super::shared::{Moment, Shared};
use super::{Launch, WARP};
use crate::fault::Fault;
use crate::memory::Window;
use crate::ptx::{Flow, Function, Lanes, Op, Predicate, Source, Special};

/// A kernel that runs longer than this in one warp will not end.
const N_STEPS_MAX: u64 = 1 << 32;

/// What a warp finds around it.
pub(super) struct Surroundings<'a> {
    pub(super) function: &'a Function,
    pub(super) params: &'a [u8],
    pub(super) shared: &'a mut Shared,
    pub(super) window: &'a mut Window,
    pub(super) counts: &'a mut Counts,
    pub(super) block_time: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    /// At a barrier of the block, whose instruction is behind it.
    Barrier,
    /// Before an instruction that wants lanes which are elsewhere.
    Partners,
}

/// Threads that are at the same instruction.
#[derive(Debug, Clone, Copy)]
struct Group {
    at: usize,
    mask: u32,
    state: State,
}

/// An asynchronous copy under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copy {
    pub(super) to: u64,
    pub(super) from: u64,
    pub(super) n_bytes: usize,
    pub(super) n_read: usize,
}

/// What follows an instruction.
enum Next {
    On,
    Wait(State),
}

pub(super) struct Warp {
    index: usize,
    pub(super) registers: Vec<Lanes>,
    predicates: Vec<u32>,
    groups: Vec<Group>,
    /// Each thread's memory, one behind the other.
    pub(super) local: Vec<u8>,
    pub(super) n_local_bytes: usize,
    /// Each thread's copies in groups; the last group is still open.
    pub(super) copies: Vec<Vec<Vec<Copy>>>,
    /// Barriers of the warp so far.
    pub(super) time: u32,
    n_steps: u64,
}

impl Warp {
    pub(super) fn new(function: &Function, index: usize) -> Self {
        Self {
            index,
            registers: vec![[0; WARP]; function.n_registers],
            predicates: vec![0; function.n_predicates],
            groups: Vec::new(),
            local: vec![0xFF; WARP * function.n_local_bytes],
            n_local_bytes: function.n_local_bytes,
            copies: vec![vec![Vec::new()]; WARP],
            time: 0,
            n_steps: 0,
        }
    }

    /// Puts the threads before the first instruction.
    pub(super) fn begin(&mut self, launch: &Launch, place: [u32; 3]) {
        let [x, y, z] = launch.threads.map(|count| count as usize);
        let first = self.index * WARP;
        let n_lanes = (x * y * z - first).min(WARP);
        self.registers.fill([u64::MAX; WARP]);
        for (register, (special, _)) in Special::ALL.into_iter().enumerate() {
            self.registers[register] = std::array::from_fn(|lane| {
                let thread = first + lane;
                match special {
                    Special::ThreadX => (thread % x) as u64,
                    Special::ThreadY => (thread / x % y) as u64,
                    Special::ThreadZ => (thread / x / y) as u64,
                    Special::ThreadsX => x as u64,
                    Special::ThreadsY => y as u64,
                    Special::ThreadsZ => z as u64,
                    Special::BlockX => u64::from(place[0]),
                    Special::BlockY => u64::from(place[1]),
                    Special::BlockZ => u64::from(place[2]),
                    Special::BlocksX => u64::from(launch.grid[0]),
                    Special::BlocksY => u64::from(launch.grid[1]),
                    Special::BlocksZ => u64::from(launch.grid[2]),
                    Special::Lane => lane as u64,
                    Special::WarpSize => WARP as u64,
                }
            });
        }
        for copies in &mut self.copies {
            copies.clear();
            copies.push(Vec::new());
        }
        let mask = u32::MAX >> (WARP - n_lanes);
        self.groups = vec![Group { at: 0, mask, state: State::Ready }];
        (self.time, self.n_steps) = (0, 0);
    }

    /// Instructions that the warp has run.
    pub(super) fn n_steps(&self) -> u64 {
        self.n_steps
    }

    pub(super) fn has_ended(&self) -> bool {
        self.groups.is_empty()
    }

    /// Lets the threads go on behind a barrier that all have reached.
    pub(super) fn release(&mut self) -> Result<(), Fault> {
        let Some(first) = self.groups.first().copied() else { return Ok(()) };
        if self.groups.iter().any(|group| group.at != first.at) {
            return Err(Fault::new(format!("warp {} is at several barriers at once", self.index)));
        }
        let mask = self.groups.iter().fold(0, |mask, group| mask | group.mask);
        self.groups = vec![Group { at: first.at, mask, state: State::Ready }];
        self.time += 1;
        Ok(())
    }

    /// Runs all threads until they wait or end.
    pub(super) fn run(&mut self, around: &mut Surroundings<'_>) -> Result<(), Fault> {
        while let Some(mut group) = self.next_group() {
            while self.groups.is_empty() || self.stays_first(&mut group) {
                let Some(next) = self.step(&mut group, around)? else { break };
                if let Next::Wait(state) = next {
                    group.state = state;
                    break;
                }
            }
            if group.mask != 0 {
                self.groups.push(group);
            }
        }
        match self.groups.iter().find(|group| group.state == State::Partners) {
            Some(group) => {
                let text = &around.function.code[group.at].text;
                Err(Fault::new(format!("warp {}: not all are there for {text}", self.index)))
            }
            None => Ok(()),
        }
    }

    /// Takes the group that is furthest behind among those that can go on.
    fn next_group(&mut self) -> Option<Group> {
        let ready = self.groups.iter().enumerate().filter(|(_, group)| group.state == State::Ready);
        let (at, _) = ready.min_by_key(|(_, group)| group.at)?;
        Some(self.groups.swap_remove(at))
    }

    /// Joins `group` with those it meets; false when another is behind it now.
    fn stays_first(&mut self, group: &mut Group) -> bool {
        self.groups.retain(|other| {
            let meets = other.at == group.at && other.state != State::Barrier;
            if meets {
                group.mask |= other.mask;
            }
            !meets
        });
        !self.groups.iter().any(|other| other.state == State::Ready && other.at < group.at)
    }

    /// One instruction for the threads of `group`; `None` when none of them is left.
    fn step(
        &mut self,
        group: &mut Group,
        around: &mut Surroundings<'_>,
    ) -> Result<Option<Next>, Fault> {
        self.n_steps += 1;
        let instruction = &around.function.code[group.at];
        let guard = instruction.guard.map_or(u32::MAX, |guard| self.predicate(guard));
        let active = group.mask & guard;
        if active == 0 {
            group.at += 1;
            return Ok(Some(Next::On));
        }
        let index = self.index;
        let placed = |fault: Fault| fault.at(format!("warp {index}, {}", instruction.text));
        match &instruction.op {
            Op::Flow(flow) => return self.flow(flow, group, active).map_err(placed),
            Op::Compute(compute) => self.compute(compute, active),
            Op::Transfer(transfer) => self.transfer(transfer, active, around).map_err(placed)?,
            Op::Together(together) if !self.are_together(together, active) => {
                return Ok(Some(Next::Wait(State::Partners)));
            }
            Op::Together(together) => self.together(together, active, around).map_err(placed)?,
        }
        group.at += 1;
        Ok(Some(Next::On))
    }

    fn flow(&mut self, flow: &Flow, group: &mut Group, active: u32) -> Result<Option<Next>, Fault> {
        match flow {
            Flow::Branch { target } => {
                if self.n_steps > N_STEPS_MAX {
                    return Err(Fault::new("the kernel does not end"));
                }
                let stay = group.mask & !active;
                if stay == 0 {
                    group.at = *target;
                } else {
                    self.groups.push(Group { at: *target, mask: active, state: State::Ready });
                    group.mask = stay;
                    group.at += 1;
                }
                Ok(Some(Next::On))
            }
            Flow::Exit => {
                group.mask &= !active;
                group.at += 1;
                Ok((group.mask != 0).then_some(Next::On))
            }
            Flow::Barrier => {
                group.at += 1;
                Ok(Some(Next::Wait(State::Barrier)))
            }
            Flow::Nothing => {
                group.at += 1;
                Ok(Some(Next::On))
            }
            Flow::Unknown => Err(Fault::new("the card does not know this instruction")),
        }
    }

    pub(super) fn lanes<'a>(&'a self, source: &'a Source) -> &'a Lanes {
        match source {
            Source::Register(register) => &self.registers[*register],
            Source::Same(lanes) => lanes,
        }
    }

    pub(super) fn predicate(&self, predicate: Predicate) -> u32 {
        let mask = self.predicates[predicate.register];
        if predicate.negated { !mask } else { mask }
    }

    pub(super) fn put(&mut self, to: usize, lanes: &Lanes, active: u32) {
        let register = &mut self.registers[to];
        if active == u32::MAX {
            *register = *lanes;
            return;
        }
        for lane in lanes_of(active) {
            register[lane] = lanes[lane];
        }
    }

    pub(super) fn put_predicate(&mut self, to: usize, mask: u32, active: u32) {
        let register = &mut self.predicates[to];
        *register = *register & !active | mask & active;
    }

    pub(super) fn moment(&self, lane: usize, block_time: u32) -> Moment {
        Moment { thread: (self.index * WARP + lane) as u16, block_time, warp_time: self.time }
    }
}

pub(super) fn in_lane(fault: Fault, lane: usize) -> Fault {
    fault.at(format!("lane {lane}"))
}

pub(super) fn low_bits(n_bits: u32) -> u64 {
    if n_bits >= 64 { u64::MAX } else { (1 << n_bits) - 1 }
}

/// The lanes whose bit is set.
pub(super) fn lanes_of(mask: u32) -> impl Iterator<Item = usize> {
    (0..WARP).filter(move |lane| mask >> lane & 1 == 1)
}
