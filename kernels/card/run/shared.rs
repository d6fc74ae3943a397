//! The shared memory of a block, which knows who has touched which byte since the last barrier.
//!
//! Two threads of different warps that touch a byte, one of them writing, must have a barrier of the
//! block between them; two of one warp, a barrier of the warp. A byte that an asynchronous copy is
//! on its way to belongs to nobody until its thread has waited.

use std::ops::Range;

use super::WARP;
use crate::fault::Fault;

/// In the place of a thread or a warp: nobody, more than one, or an atomic instruction, which others
/// of its kind may follow.
const NOBODY: u16 = u16::MAX;
const SEVERAL: u16 = u16::MAX - 1;
const ATOMIC: u16 = u16::MAX - 2;

/// A thread at a point of time: how many barriers its block and its warp have behind them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) thread: u16,
    pub(super) block_time: u32,
    pub(super) warp_time: u32,
}

/// Who touched a byte last, and when.
#[derive(Debug, Clone, Copy)]
struct Touch {
    thread: u16,
    warp: u16,
    block_time: u32,
    warp_time: u32,
}

const UNTOUCHED: Touch = Touch { thread: NOBODY, warp: NOBODY, block_time: 0, warp_time: 0 };

impl Touch {
    fn of(now: Moment) -> Self {
        let Moment { thread, block_time, warp_time } = now;
        Self { thread, warp: thread / WARP as u16, block_time, warp_time }
    }

    /// Whether `now` may follow without asking.
    fn is_behind(self, now: Moment) -> bool {
        let same_warp = self.warp == now.thread / WARP as u16;
        self.thread == NOBODY
            || self.block_time != now.block_time
            || same_warp && (self.thread == now.thread || self.warp_time != now.warp_time)
    }

    /// Who it was.
    fn name(self) -> String {
        match self.thread {
            SEVERAL => "several threads".to_owned(),
            ATOMIC => "an atomic instruction".to_owned(),
            thread => format!("thread {thread}"),
        }
    }

    /// This touch and that of `now`.
    fn joined(self, now: Moment) -> Self {
        let fresh = Self::of(now);
        if self.is_behind(now) {
            fresh
        } else if self.warp == fresh.warp {
            Self { thread: SEVERAL, ..fresh }
        } else {
            Self { thread: SEVERAL, warp: SEVERAL, ..fresh }
        }
    }
}

/// What a thread does to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touching {
    Read,
    Write,
    /// A write of what is there, which harms no other write.
    Repeat,
    /// By an atomic instruction, which others may follow.
    Change,
    /// By sending a copy there.
    Aim,
}

impl Touching {
    fn words(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write | Self::Repeat => "written",
            Self::Change => "changed",
            Self::Aim => "copied to",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Byte {
    written: Touch,
    read: Touch,
    /// Asynchronous copies on their way here.
    n_coming: u16,
}

const FRESH: Byte = Byte { written: UNTOUCHED, read: UNTOUCHED, n_coming: 0 };

/// The memory and its past.
pub(super) struct Shared {
    bytes: Vec<u8>,
    past: Vec<Byte>,
}

impl Shared {
    pub(super) fn new(n_bytes: usize) -> Self {
        Self { bytes: vec![0xFF; n_bytes], past: vec![FRESH; n_bytes] }
    }

    /// As for a block that begins: full of ones, touched by nobody.
    pub(super) fn reset(&mut self) {
        self.bytes.fill(0xFF);
        self.past.fill(FRESH);
    }

    fn range(&self, at: u64, n_bytes: usize) -> Result<Range<usize>, Fault> {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let end = start.saturating_add(n_bytes);
        if end > self.bytes.len() {
            return Err(Fault::new(format!(
                "{n_bytes} bytes at byte {at} of {} bytes of shared memory",
                self.bytes.len()
            )));
        }
        Ok(start..end)
    }

    /// The bytes of a place that `now` may touch, in the way that `what` says: behind all writes and,
    /// where it changes them, behind all reads.
    fn expect(
        &self,
        at: u64,
        n_bytes: usize,
        now: Moment,
        what: Touching,
    ) -> Result<Range<usize>, Fault> {
        let range = self.range(at, n_bytes)?;
        for (place, byte) in (at..).zip(&self.past[range.clone()]) {
            let told = |end: &str| {
                Fault::new(format!(
                    "byte {place} of shared memory is {} by thread {}, {end}",
                    what.words(),
                    now.thread
                ))
            };
            if byte.n_coming > 0 && what != Touching::Aim {
                return Err(told("while a copy is on its way there"));
            }
            let is_atomic = what == Touching::Change && byte.written.thread == ATOMIC;
            let harmless = what == Touching::Repeat || is_atomic;
            if !harmless && !byte.written.is_behind(now) {
                return Err(told(&format!("written without a barrier by {}", byte.written.name())));
            }
            if what != Touching::Read && !byte.read.is_behind(now) {
                return Err(told(&format!("read without a barrier by {}", byte.read.name())));
            }
        }
        Ok(range)
    }

    pub(super) fn read(&mut self, at: u64, n_bytes: usize, now: Moment) -> Result<&[u8], Fault> {
        let range = self.expect(at, n_bytes, now, Touching::Read)?;
        self.past[range.clone()].iter_mut().for_each(|byte| byte.read = byte.read.joined(now));
        Ok(&self.bytes[range])
    }

    pub(super) fn write(&mut self, at: u64, bytes: &[u8], now: Moment) -> Result<(), Fault> {
        let same = self.bytes[self.range(at, bytes.len())?] == *bytes;
        let what = if same { Touching::Repeat } else { Touching::Write };
        let range = self.expect(at, bytes.len(), now, what)?;
        self.past[range.clone()]
            .iter_mut()
            .for_each(|byte| byte.written = byte.written.joined(now));
        self.bytes[range].copy_from_slice(bytes);
        Ok(())
    }

    /// Changes a place at one blow; gives what was there.
    pub(super) fn change(
        &mut self,
        at: u64,
        n_bytes: usize,
        now: Moment,
        change: impl FnOnce(u64) -> u64,
    ) -> Result<u64, Fault> {
        let range = self.expect(at, n_bytes, now, Touching::Change)?;
        let written = Touch { thread: ATOMIC, warp: ATOMIC, ..Touch::of(now) };
        self.past[range.clone()].iter_mut().for_each(|byte| byte.written = written);
        let mut old = [0; 8];
        old[..n_bytes].copy_from_slice(&self.bytes[range.clone()]);
        let old = u64::from_le_bytes(old);
        self.bytes[range].copy_from_slice(&change(old).to_le_bytes()[..n_bytes]);
        Ok(old)
    }

    /// A copy sets out; it may land at any time from now on.
    pub(super) fn set_out(&mut self, at: u64, n_bytes: usize, now: Moment) -> Result<(), Fault> {
        let range = self.expect(at, n_bytes, now, Touching::Aim)?;
        self.past[range].iter_mut().for_each(|byte| byte.n_coming += 1);
        Ok(())
    }

    /// A copy lands, its thread having waited for it.
    pub(super) fn land(&mut self, at: u64, bytes: &[u8], now: Moment) -> Result<(), Fault> {
        let range = self.range(at, bytes.len())?;
        self.past[range].iter_mut().for_each(|byte| byte.n_coming -= 1);
        self.write(at, bytes, now)
    }
}
