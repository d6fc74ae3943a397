//! Loads, stores, atomic changes and asynchronous copies: the bytes of a lane in every space.

use std::ops::Range;
use std::sync::Mutex;

use super::counts::{self, Counts};
use super::warp::{Copy, Surroundings, Warp, in_lane, lanes_of};
use super::{LOCAL_WINDOW, SHARED_WINDOW};
use crate::fault::Fault;
use crate::ptx::{Address, Element, Source, Space, Transfer};

/// Most bytes that one instruction moves for a lane.
const N_BYTES_MAX: usize = 32;

/// Serialises what blocks do to the card's memory at one blow.
static ATOMICS: Mutex<()> = Mutex::new(());

impl Warp {
    /// Moves the bytes of the lanes of `active`.
    pub(super) fn transfer(
        &mut self,
        transfer: &Transfer,
        active: u32,
        around: &mut Surroundings<'_>,
    ) -> Result<(), Fault> {
        if counts::are_wanted() {
            self.count(transfer, active, around.counts);
        }
        match transfer {
            Transfer::Load { to, element, from } => {
                self.load(to, *element, from, active, around)?
            }
            Transfer::Store { to, element, from } => {
                self.store(to, *element, from, active, around)?
            }
            Transfer::Atomic { old, at, element, b, c, join } => {
                let (b, c) = (*self.lanes(b), *self.lanes(c));
                for lane in lanes_of(active) {
                    let place = self.place(at, lane, element.n_bytes)?;
                    let change = |now: u64| join(now, b[lane], c[lane]);
                    let found = self.change(place, element.n_bytes, lane, around, change)?;
                    if let Some(old) = old {
                        self.registers[*old][lane] = found;
                    }
                }
            }
            Transfer::CopyAsync { to, from, n_bytes, n_read } => {
                for lane in lanes_of(active) {
                    let n_read =
                        n_read.as_ref().map_or(*n_bytes, |n| self.lanes(n)[lane] as u32 as usize);
                    let to = self.place(to, lane, *n_bytes)?.1;
                    let from = self.place(from, lane, *n_bytes)?.1;
                    around.shared.set_out(to, *n_bytes, self.moment(lane, around.block_time))?;
                    let copy = Copy { to, from, n_bytes: *n_bytes, n_read: n_read.min(*n_bytes) };
                    self.copies[lane].last_mut().expect("one is open").push(copy);
                }
            }
            Transfer::CopyCommit => {
                for lane in lanes_of(active) {
                    self.copies[lane].push(Vec::new());
                }
            }
            Transfer::CopyWait { n_left } => {
                for lane in lanes_of(active) {
                    self.land(lane, *n_left, around)?;
                }
            }
        }
        Ok(())
    }

    /// Counts what the machine has to do for it.
    fn count(&self, transfer: &Transfer, active: u32, counts: &mut Counts) {
        let mut add = |address: &Address, n_bytes: usize| {
            let places =
                lanes_of(active).filter_map(|lane| self.place(address, lane, n_bytes).ok());
            let places: Vec<(Space, u64)> = places.collect();
            let addresses: Vec<u64> = places.iter().map(|(_, at)| *at).collect();
            match places.first() {
                Some((Space::Global, _)) => counts.global(&addresses, n_bytes),
                Some((Space::Shared, _)) => counts.shared(&addresses, n_bytes),
                Some((Space::Local | Space::Param, _)) | None => {}
            }
        };
        match transfer {
            Transfer::Load { to, element, from } => add(from, element.n_bytes * to.len()),
            Transfer::Store { to, element, from } => add(to, element.n_bytes * from.len()),
            Transfer::Atomic { at, element, .. } => add(at, element.n_bytes),
            Transfer::CopyAsync { to, from, n_bytes, .. } => {
                add(from, *n_bytes);
                add(to, *n_bytes);
            }
            Transfer::CopyCommit | Transfer::CopyWait { .. } => {}
        }
    }

    /// The space and the place in it that an address means for a lane.
    pub(super) fn place(
        &self,
        address: &Address,
        lane: usize,
        n_bytes: usize,
    ) -> Result<(Space, u64), Fault> {
        let mut at = self.lanes(&address.base)[lane].wrapping_add_signed(address.offset);
        let space = match address.space {
            // Some addresses of these spaces are held in registers of 32 bits.
            Some(space @ (Space::Shared | Space::Local)) => {
                at &= u64::from(u32::MAX);
                space
            }
            Some(space @ (Space::Global | Space::Param)) => space,
            None if at >= LOCAL_WINDOW => {
                at -= LOCAL_WINDOW;
                Space::Local
            }
            None if at >= SHARED_WINDOW => {
                at -= SHARED_WINDOW;
                Space::Shared
            }
            None => Space::Global,
        };
        if n_bytes.is_power_of_two() && !at.is_multiple_of(n_bytes as u64) {
            return Err(Fault::new(format!(
                "lane {lane}: {n_bytes} bytes at the odd address {at:#x}"
            )));
        }
        Ok((space, at))
    }

    fn load(
        &mut self,
        to: &[Option<usize>],
        element: Element,
        from: &Address,
        active: u32,
        around: &mut Surroundings<'_>,
    ) -> Result<(), Fault> {
        let size = element.n_bytes;
        let mut buffer = [0; N_BYTES_MAX];
        for lane in lanes_of(active) {
            let n_bytes = size * to.len();
            let bytes = &mut buffer[..n_bytes];
            let (space, at) = self.place(from, lane, n_bytes)?;
            self.read(space, at, bytes, lane, around).map_err(|fault| in_lane(fault, lane))?;
            for (to, bytes) in to.iter().zip(bytes.chunks_exact(size)) {
                let mut whole = [0; 8];
                whole[..size].copy_from_slice(bytes);
                let mut value = u64::from_le_bytes(whole);
                if element.signed && size < 8 {
                    let unused = 64 - 8 * size as u32;
                    value = ((value << unused) as i64 >> unused) as u64;
                }
                if let Some(to) = to {
                    self.registers[*to][lane] = value;
                }
            }
        }
        Ok(())
    }

    fn read(
        &self,
        space: Space,
        at: u64,
        bytes: &mut [u8],
        lane: usize,
        around: &mut Surroundings<'_>,
    ) -> Result<(), Fault> {
        let n_bytes = bytes.len();
        match space {
            Space::Global => around.window.read(at, bytes)?,
            Space::Shared => {
                let now = self.moment(lane, around.block_time);
                bytes.copy_from_slice(around.shared.read(at, n_bytes, now)?);
            }
            Space::Local => {
                bytes.copy_from_slice(&self.local[self.local_range(at, n_bytes, lane)?])
            }
            Space::Param => {
                let start = at as usize;
                let found = around.params.get(start..start + n_bytes);
                bytes.copy_from_slice(found.ok_or_else(|| Fault::new("no such parameter"))?);
            }
        }
        Ok(())
    }

    fn local_range(&self, at: u64, n_bytes: usize, lane: usize) -> Result<Range<usize>, Fault> {
        let at = at as usize;
        if at.saturating_add(n_bytes) > self.n_local_bytes {
            return Err(Fault::new(format!(
                "byte {at} of {} bytes of its own",
                self.n_local_bytes
            )));
        }
        let start = lane * self.n_local_bytes + at;
        Ok(start..start + n_bytes)
    }

    fn store(
        &mut self,
        to: &Address,
        element: Element,
        from: &[Source],
        active: u32,
        around: &mut Surroundings<'_>,
    ) -> Result<(), Fault> {
        let size = element.n_bytes;
        let mut buffer = [0; N_BYTES_MAX];
        for lane in lanes_of(active) {
            let n_bytes = size * from.len();
            for (bytes, from) in buffer.chunks_exact_mut(size).zip(from) {
                bytes.copy_from_slice(&self.lanes(from)[lane].to_le_bytes()[..size]);
            }
            let (space, at) = self.place(to, lane, n_bytes)?;
            let bytes = &buffer[..n_bytes];
            self.write(space, at, bytes, lane, around).map_err(|fault| in_lane(fault, lane))?;
        }
        Ok(())
    }

    fn write(
        &mut self,
        space: Space,
        at: u64,
        bytes: &[u8],
        lane: usize,
        around: &mut Surroundings<'_>,
    ) -> Result<(), Fault> {
        match space {
            Space::Global => around.window.write(at, bytes),
            Space::Shared => around.shared.write(at, bytes, self.moment(lane, around.block_time)),
            Space::Local => {
                let range = self.local_range(at, bytes.len(), lane)?;
                self.local[range].copy_from_slice(bytes);
                Ok(())
            }
            Space::Param => Err(Fault::new("parameters are not written")),
        }
    }

    fn change(
        &self,
        (space, at): (Space, u64),
        n_bytes: usize,
        lane: usize,
        around: &mut Surroundings<'_>,
        change: impl FnOnce(u64) -> u64,
    ) -> Result<u64, Fault> {
        if space == Space::Shared {
            return around.shared.change(at, n_bytes, self.moment(lane, around.block_time), change);
        }
        let _one_at_a_time = ATOMICS.lock().expect("no holder panics");
        let mut old = [0; 8];
        let told = |fault| in_lane(fault, lane);
        around.window.read(at, &mut old[..n_bytes]).map_err(told)?;
        let old = u64::from_le_bytes(old);
        around.window.write(at, &change(old).to_le_bytes()[..n_bytes]).map_err(told)?;
        Ok(old)
    }

    /// Lets all groups of a thread's copies land but the last `n_left` that are closed.
    fn land(
        &mut self,
        lane: usize,
        n_left: usize,
        around: &mut Surroundings<'_>,
    ) -> Result<(), Fault> {
        let n_closed = self.copies[lane].len() - 1;
        let n_landing = n_closed.saturating_sub(n_left);
        let now = self.moment(lane, around.block_time);
        for copy in self.copies[lane].drain(..n_landing).flatten() {
            let mut bytes = [0; 16];
            around.window.read(copy.from, &mut bytes[..copy.n_read])?;
            around.shared.land(copy.to, &bytes[..copy.n_bytes], now)?;
        }
        Ok(())
    }
}
