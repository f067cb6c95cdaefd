//! Digital ports: P1 and P2 with interrupts, P3 and P4 without.

use std::collections::VecDeque;

/// A port. Registers in order of address: IN, OUT, DIR, and with interrupts IFG, IES, IE, then SEL.
#[derive(Clone, Debug, Default)]
pub(crate) struct Port {
    now: u64,
    pins: u8,
    /// The first stage of the synchroniser, the register IN, IN one cycle ago.
    stages: [u8; 3],
    /// Registers but IN and IFG.
    pub(crate) output: u8,
    direction: u8,
    pub(crate) flags: u8,
    edge: u8,
    enable: u8,
    select: u8,
    scheduled: VecDeque<(u64, u8)>,
    /// Flags that the last cycle set; a write in the same cycle does not clear them.
    risen: u8,
}

impl Port {
    /// The reset signal; what comes from outside stays.
    pub(crate) fn reset(&mut self, now: u64) {
        *self = Self { now, pins: self.pins, scheduled: core::mem::take(&mut self.scheduled), ..Self::default() };
    }

    /// From `cycle` on the pins have a value. Cycles do not decrease.
    pub(crate) fn schedule(&mut self, cycle: u64, value: u8) {
        debug_assert!(self.scheduled.back().is_none_or(|(last, _)| *last <= cycle));
        self.scheduled.push_back((cycle, value));
    }

    /// The value that the pins have, or will have after all that was scheduled.
    pub(crate) fn pins(&self) -> u8 {
        self.scheduled.back().map_or(self.pins, |(_, value)| *value)
    }

    fn settled(&self) -> bool {
        self.stages == [self.pins; 3]
    }

    pub(crate) fn advance(&mut self, cycle: u64) {
        while self.now < cycle {
            if self.settled() {
                self.risen = 0;
                match self.scheduled.front() {
                    Some((next, _)) if *next <= cycle => self.now = self.now.max(next.saturating_sub(1)),
                    _ => break,
                }
                if self.now >= cycle {
                    break;
                }
            }
            self.tick();
        }
        self.now = self.now.max(cycle);
    }

    /// From one cycle to the next.
    fn tick(&mut self) {
        self.now += 1;
        while let Some((_, value)) = self.scheduled.pop_front_if(|(next, _)| *next <= self.now) {
            self.pins = value;
        }
        let [first, input, before] = self.stages;
        let edges = (input ^ before) & (input ^ self.edge);
        self.flags |= edges;
        self.risen = edges;
        self.stages = [self.pins, first, input];
    }

    /// The register with a number.
    pub(crate) fn read(&self, register: u16, interrupts: bool) -> u8 {
        match (register, interrupts) {
            (0, _) => self.stages[1],
            (1, _) => self.output,
            (2, _) => self.direction,
            (3, true) => self.flags,
            (4, true) => self.edge,
            (5, true) => self.enable,
            (6, true) | (3, false) => self.select,
            _ => 0,
        }
    }

    /// Writes a register in a cycle; visible one later.
    pub(crate) fn write(&mut self, cycle: u64, register: u16, interrupts: bool, value: u8) {
        self.risen = 0;
        self.advance(cycle + 1);
        match (register, interrupts) {
            (1, _) => self.output = value,
            (2, _) => self.direction = value,
            (3, true) => self.flags = value | self.risen,
            (4, true) => self.edge = value,
            (5, true) => self.enable = value,
            (6, true) | (3, false) => self.select = value,
            _ => {}
        }
    }

    pub(crate) fn interrupt(&self) -> bool {
        self.flags & self.enable != 0
    }

    pub(crate) fn next_event(&self) -> u64 {
        if self.settled() { self.scheduled.front().map_or(u64::MAX, |(next, _)| *next) } else { self.now + 1 }
    }
}
