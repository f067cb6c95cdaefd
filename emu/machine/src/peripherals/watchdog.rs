//! The watchdog timer, and the special-function registers that belong to it.
//!
//! | bit of WDTCTL | meaning |
//! |---|---|
//! | 7 | hold |
//! | 6, 5 | the pin NMI; only on the legacy core, where bit 5 always reads 1 |
//! | 4 | interval timer instead of watchdog |
//! | 3 | clears the counter; reads 0 |
//! | 2 | source ACLK, which never ticks |
//! | 1-0 | length: 32768, 8192, 512, 64 cycles of SMCLK |

use super::clock::Divider;

/// Watchdog with its flag.
#[derive(Clone, Debug)]
pub(crate) struct Watchdog {
    /// State is that of this cycle.
    now: u64,
    control: u8,
    counter: u16,
    /// WDTIFG; outlives a reset.
    pub(crate) flag: bool,
    /// The cycle from which the reset signal is active.
    pub(crate) reset_at: Option<u64>,
    legacy: bool,
}

impl Watchdog {
    pub(crate) const fn new(legacy: bool) -> Self {
        Self { now: 0, control: 0, counter: 0, flag: false, reset_at: None, legacy }
    }

    /// The reset signal: everything but the flag.
    pub(crate) fn reset(&mut self, now: u64) {
        *self = Self { now, flag: self.flag, ..Self::new(self.legacy) };
    }

    pub(crate) fn read(&self) -> u16 {
        0x6900 | u16::from(self.control) | if self.legacy { 0x20 } else { 0 }
    }

    fn runs(&self) -> bool {
        self.control & 0x84 == 0
    }

    pub(crate) fn is_interval(&self) -> bool {
        self.control & 0x10 != 0
    }

    fn limit(&self) -> u32 {
        [1 << 15, 1 << 13, 1 << 9, 1 << 6][usize::from(self.control & 3)]
    }

    /// Ticks until the counter's chosen bit is found set.
    fn ticks_left(&self) -> u64 {
        let counter = u32::from(self.counter);
        // The flag is raised in each tick after which the bit is set.
        if (counter + 1) & self.limit() != 0 { 1 } else { u64::from(self.limit() - counter % self.limit()) }
    }

    /// Brings the state to that of `cycle`.
    pub(crate) fn advance(&mut self, cycle: u64, clock: &Divider) {
        while self.runs() && self.now < cycle && self.reset_at.is_none() {
            let ticks = clock.ticks(self.now, cycle);
            let left = self.ticks_left();
            if ticks < left {
                self.counter = self.counter.wrapping_add(u16::try_from(ticks).unwrap_or(0));
                break;
            }
            self.now = clock.after(self.now, left);
            self.counter = 0;
            self.expire();
        }
        self.now = self.now.max(cycle);
    }

    /// A reset from the watchdog at this cycle leaves the flag behind.
    pub(crate) fn expire_by(&mut self, active: u64) {
        self.flag |= !self.is_interval() && self.reset_at.is_none() && self.now <= active;
    }

    fn expire(&mut self) {
        self.flag = true;
        if !self.is_interval() {
            self.reset_at = Some(self.now);
        }
    }

    /// Writes WDTCTL in `cycle`; the effect is visible one later.
    pub(crate) fn write(&mut self, cycle: u64, value: u16, clock: &Divider) {
        self.advance(cycle + 1, clock);
        let [low, password] = value.to_le_bytes();
        if password != 0x5a {
            self.flag = true;
            self.reset_at = Some(cycle + 1);
        }
        if low & 8 != 0 {
            self.counter = 0;
        }
        self.control = low & if self.legacy { 0xd7 } else { 0x97 };
    }

    /// Software sets or clears the flag (a write to IFG1) in `cycle`.
    pub(crate) fn set_flag(&mut self, cycle: u64, value: bool, clock: &Divider) {
        self.advance(cycle, clock);
        // An expiry in this cycle is stronger.
        self.flag = value;
        self.advance(cycle + 1, clock);
        if value && !self.is_interval() {
            self.reset_at = Some(cycle + 1);
        }
    }

    /// The cycle in which the reset signal becomes active, if nobody prevents it.
    pub(crate) fn reset_due(&self, clock: &Divider) -> u64 {
        if self.reset_at.is_none() && self.is_interval() { u64::MAX } else { self.next_event(clock) }
    }

    /// The first cycle after `now` in which something happens by itself.
    pub(crate) fn next_event(&self, clock: &Divider) -> u64 {
        match self.reset_at {
            Some(cycle) => cycle,
            None if self.runs() => clock.after(self.now, self.ticks_left()),
            None => u64::MAX,
        }
    }
}
