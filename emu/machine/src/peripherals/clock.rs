//! The divided clock SMCLK.

/// A divider of the master clock by 1, 2, 4 or 8, which counts from a cycle on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Divider {
    /// Logarithm of the ratio.
    pub(crate) shift: u32,
    /// A cycle in which the divided clock ticks.
    pub(crate) phase: u64,
    /// It does not tick: switched off, or from a crystal that is not there.
    pub(crate) stopped: bool,
}

impl Divider {
    pub(crate) const fn new() -> Self {
        Self { shift: 0, phase: 0, stopped: false }
    }

    /// Ticks in the cycles from `from` (inclusive) to `to` (exclusive).
    pub(crate) const fn ticks(&self, from: u64, to: u64) -> u64 {
        if self.stopped {
            return 0;
        }
        if self.shift == 0 {
            return to - from;
        }
        self.count(to) - self.count(from)
    }

    const fn count(&self, cycle: u64) -> u64 {
        (cycle - self.phase + (1 << self.shift) - 1) >> self.shift
    }

    /// The cycle after the one with the `ticks`-th tick from `from` on; `u64::MAX` if there is none.
    pub(crate) const fn after(&self, from: u64, ticks: u64) -> u64 {
        if self.stopped {
            return u64::MAX;
        }
        if self.shift == 0 {
            return from + ticks;
        }
        ((self.count(from) + ticks - 1) << self.shift) + self.phase + 1
    }
}
