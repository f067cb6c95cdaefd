//! Timer_A with three compare units; capture inputs and output units are not connected.
//!
//! What rises in the cycle in which software clears it stays, but for flags that reading or writing TAIV clears.

use super::clock::Divider;

const CLEAR: u16 = 0x0004;
const FLAG: u16 = 0x0001;
const CAPTURE: u16 = 0x0100;

/// The timer. Offsets of registers are from `0x160`; TAIV is read apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timer {
    now: u64,
    control: u16,
    counter: u16,
    down: bool,
    /// Three bits, of which the ratio selects how many are looked at.
    prescaler: u8,
    compare_control: [u16; 3],
    compare: [u16; 3],
}

impl Timer {
    pub(crate) fn reset(&mut self, now: u64) {
        *self = Self { now, ..Self::default() };
    }

    fn mode(&self) -> u16 {
        self.control >> 4 & 3
    }

    fn ratio(&self) -> u8 {
        1 << (self.control >> 6 & 3)
    }

    /// Does it count? Only SMCLK ticks.
    fn runs(&self) -> bool {
        self.mode() != 0 && self.control >> 8 & 3 == 2
    }

    #[inline]
    pub(crate) fn advance(&mut self, cycle: u64, clock: &Divider) {
        // As after reset: most firmware has no timer.
        if self.control == 0 && !self.down {
            self.now = self.now.max(cycle);
        } else {
            self.live(cycle, clock);
        }
    }

    fn live(&mut self, cycle: u64, clock: &Divider) {
        self.rest(cycle, clock);
        if self.runs() {
            while self.now < cycle {
                self.turn();
                let ticks = clock.ticks(self.now, cycle);
                let idle = self.idle_ticks().min(ticks);
                if idle > 0 {
                    self.skip(idle);
                    self.now = clock.after(self.now, idle);
                    continue;
                }
                if ticks > 0 {
                    self.tick();
                    self.now = clock.after(self.now, 1);
                } else {
                    break;
                }
            }
        }
        self.now = self.now.max(cycle);
    }

    /// The first cycle after a stop, and what ticks of the source do to a stopped timer: a prescaler that was about to overflow does
    /// so, and a counter that was on its way down goes one further if that is in the first cycle.
    fn rest(&mut self, cycle: u64, clock: &Divider) {
        if self.now >= cycle {
            return;
        }
        if self.mode() == 0 && self.control >> 8 & 3 == 2 && self.overflows() {
            if self.down && clock.ticks(self.now, self.now + 1) > 0 {
                self.counter = self.counter.wrapping_sub(1);
            }
            if clock.ticks(self.now, cycle) > 0 {
                self.prescaler = 0;
            }
        }
        self.turn();
    }

    /// Does the next tick of the source count?
    fn overflows(&self) -> bool {
        let mask = self.ratio() - 1;
        self.prescaler & mask == mask
    }

    /// The direction of up/down mode follows counter and CCR0 in every cycle, not only in ticks.
    fn turn(&mut self) {
        self.down = self.mode() == 3 && (self.down || self.counter >= self.compare[0]);
    }

    /// Ticks of the source that surely only count.
    fn idle_ticks(&self) -> u64 {
        if self.mode() == 3 || self.mode() == 1 && self.counter >= self.compare[0] {
            return 0;
        }
        let distance = |value: u16| u64::from(value.wrapping_sub(self.counter).wrapping_sub(1));
        let near = self.compare.into_iter().chain([0]).map(distance).min().unwrap_or(0);
        near.saturating_sub(1) * u64::from(self.ratio())
    }

    fn skip(&mut self, ticks: u64) {
        let ratio = u64::from(self.ratio());
        let total = u64::from(self.prescaler) % ratio + ticks;
        let left = if total < ratio { (u64::from(self.prescaler) + ticks) % 8 } else { total % ratio };
        self.prescaler = left.try_into().unwrap_or(0);
        self.counter = self.counter.wrapping_add((total / ratio).try_into().unwrap_or(0));
    }

    /// One tick of the source.
    fn tick(&mut self) {
        if !self.overflows() {
            self.prescaler = (self.prescaler + 1) % 8;
            return;
        }
        self.prescaler = 0;
        let (mode, top) = (self.mode(), self.compare[0]);
        let clears = mode == 1 && self.counter >= top || mode == 3 && top == 0;
        let down = self.down || mode == 3 && self.counter >= top;
        let next = match mode {
            _ if clears => 0,
            3 if down => self.counter.wrapping_sub(1),
            _ => self.counter.wrapping_add(1),
        };
        for (control, compare) in self.compare_control.iter_mut().zip(self.compare) {
            // A unit that captures does not compare.
            if next == compare && self.counter != compare && *control & CAPTURE == 0 {
                *control |= FLAG;
            }
        }
        let overflows = match mode {
            1 => self.counter == top,
            2 => self.counter == 0xffff,
            _ => down && next == 0,
        };
        if overflows {
            self.control |= FLAG;
        }
        self.down = down && self.counter != 1;
        self.counter = next;
    }

    pub(crate) fn read(&self, offset: u16) -> u16 {
        match offset {
            0x00 => self.control,
            0x02 | 0x04 | 0x06 => self.compare_control[usize::from(offset / 2 - 1)],
            0x10 => self.counter,
            0x12 | 0x14 | 0x16 => self.compare[usize::from(offset / 2 - 9)],
            _ => 0,
        }
    }

    pub(crate) fn write(&mut self, cycle: u64, offset: u16, value: u16, clock: &Divider) {
        self.advance(cycle, clock);
        let flag = match offset {
            0x00 => Some(&mut self.control),
            0x02 | 0x04 | 0x06 => Some(&mut self.compare_control[usize::from(offset / 2 - 1)]),
            _ => None,
        };
        // So that one which rises in this cycle is seen, whatever it was before.
        if let Some(flag) = flag {
            *flag &= !FLAG;
        }
        self.advance(cycle + 1, clock);
        match offset {
            0x00 => {
                self.control = value & 0x03f3 | self.control & FLAG;
                if value & CLEAR != 0 {
                    self.counter = 0;
                    self.prescaler = 0;
                    self.down = false;
                }
            }
            0x02 | 0x04 | 0x06 => {
                let control = &mut self.compare_control[usize::from(offset / 2 - 1)];
                *control = value & 0xf9f7 | *control & FLAG;
            }
            0x10 => self.counter = value,
            0x12 | 0x14 | 0x16 => self.compare[usize::from(offset / 2 - 9)] = value,
            _ => {}
        }
    }

    /// Number of the most urgent source: 2, 4 or 10; 0 when there is none.
    pub(crate) fn vector(&self) -> u16 {
        let pending = |control: u16| control & 0x11 == 0x11;
        match () {
            () if pending(self.compare_control[1]) => 2,
            () if pending(self.compare_control[2]) => 4,
            () if self.control & 3 == 3 => 10,
            () => 0,
        }
    }

    /// Reading or writing TAIV in a cycle clears the flag that it names then, and no other one. Gives its number.
    pub(crate) fn acknowledge_vector(&mut self, cycle: u64, clock: &Divider) -> u16 {
        self.advance(cycle, clock);
        let vector = self.vector();
        self.advance(cycle + 1, clock);
        match vector {
            2 => self.compare_control[1] &= !FLAG,
            4 => self.compare_control[2] &= !FLAG,
            10 => self.control &= !FLAG,
            _ => {}
        }
        vector
    }

    /// Is CCR0's interrupt pending?
    pub(crate) fn compares_zero(&self) -> bool {
        self.compare_control[0] & 0x11 == 0x11
    }

    /// The CPU took CCR0's interrupt: its flag falls at the end of a cycle, even if it rises there again.
    pub(crate) fn acknowledge_zero(&mut self, cycle: u64, clock: &Divider) {
        self.advance(cycle + 1, clock);
        self.compare_control[0] &= !FLAG;
    }

    pub(crate) fn next_event(&self, clock: &Divider) -> u64 {
        let enabled = self.control & 2 != 0 || self.compare_control.iter().any(|control| control & 0x10 != 0);
        if !self.runs() || !enabled {
            return u64::MAX;
        }
        clock.after(self.now, self.idle_ticks() + 1)
    }
}

#[cfg(test)]
mod tests;
