//! The timer, which jumps from event to event, against one that lives through every cycle.

use super::{CAPTURE, CLEAR, FLAG, Timer};
use crate::peripherals::clock::Divider;

/// The registers of the hardware.
#[derive(Default)]
struct Model {
    control: u16,
    counter: u16,
    compare_control: [u16; 3],
    compare: [u16; 3],
    prescaler: u8,
    down: bool,
}

/// What happens in a cycle.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Action {
    Nothing,
    Write(u16, u16),
    Vector,
    Acknowledge,
}

impl Model {
    fn vector(&self) -> u16 {
        let pending = |control: u16| control & 0x11 == 0x11;
        let second = if self.control & 3 == 3 { 10 } else { 0 };
        let first = if pending(self.compare_control[2]) { 4 } else { second };
        if pending(self.compare_control[1]) { 2 } else { first }
    }

    /// One cycle, in which SMCLK ticks or not.
    fn cycle(&mut self, ticks: bool, action: Action) {
        let (mode, top, counter) = (self.control >> 4 & 3, self.compare[0], self.counter);
        let mask = (1 << (self.control >> 6 & 3)) - 1;
        let counts = ticks && self.control >> 8 & 3 == 2 && self.prescaler & mask == mask;
        let down = self.down || mode == 3 && counter >= top;
        let next = match mode {
            1 if counter >= top => 0,
            3 if top == 0 => 0,
            1 | 2 => counter.wrapping_add(1),
            3 if !down => counter.wrapping_add(1),
            _ if down => counter.wrapping_sub(1),
            _ => counter,
        };
        let overflows = match mode {
            1 => counter == top,
            2 => counter == 0xffff,
            _ => mode == 3 && next == 0 && down,
        };
        let (mut written, mut value) = (0xffff, 0);
        if let Action::Write(offset, word) = action {
            (written, value) = (offset, word);
        }
        let cleared = if action == Action::Vector { self.vector() } else { 0 };
        let clears = written == 0 && value & CLEAR != 0;
        for (unit, control) in (0..3).zip(&mut self.compare_control) {
            let equal = next == self.compare[unit] && counter != self.compare[unit];
            let rises = counts && mode != 0 && equal && *control & CAPTURE == 0;
            let own = written == 2 * u16::try_from(unit).unwrap() + 2;
            let falls = unit == 0 && action == Action::Acknowledge || unit != 0 && usize::from(cleared) == 2 * unit;
            *control = if own { value & 0xf9f7 } else { *control } | u16::from(rises);
            *control &= if falls { !FLAG } else { 0xffff };
        }
        let control = if written == 0 { value & 0x03f3 } else { self.control } | u16::from(counts && overflows);
        self.down = !clears && mode == 3 && !(counts && counter == 1) && (self.down || counter >= top);
        self.prescaler = match () {
            () if counts || clears => 0,
            () if mode != 0 && ticks && self.control >> 8 & 3 == 2 => (self.prescaler + 1) & 7,
            () => self.prescaler,
        };
        self.counter = match () {
            () if written == 0x10 => value,
            () if clears => 0,
            () if counts => next,
            () => counter,
        };
        self.control = if cleared == 10 { control & !FLAG } else { control };
        if let 0x12 | 0x14 | 0x16 = written {
            self.compare[usize::from(written / 2 - 9)] = value;
        }
    }
}

/// A source of numbers that are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u16) -> u16 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u16::try_from((self.0 >> 33) % u64::from(limit)).unwrap()
    }

    fn action(&mut self) -> Action {
        let small = self.below(14);
        match self.below(10) {
            0 | 1 => Action::Write(0, 0x0200 | self.below(16) << 4 | self.below(16)),
            2 => Action::Write(0, self.below(0x400)),
            3 => Action::Write(2 + 2 * self.below(3), self.below(2) << 8 | 0x10 | self.below(2)),
            4 => Action::Write(0x12 + 2 * self.below(3), if small == 13 { 0xfffe } else { small }),
            5 => Action::Write(0x10, if small == 13 { 0xfffd } else { small }),
            6 => Action::Vector,
            7 => Action::Acknowledge,
            _ => Action::Nothing,
        }
    }
}

#[test]
fn timer_is_where_one_is_that_lives_through_every_cycle() {
    for seed in 0..400 {
        let mut random = Random(seed);
        let clock = Divider { shift: random.below(4).into(), ..Divider::new() };
        let (mut timer, mut model) = (Timer::default(), Model::default());
        let mut now = 0;
        for step in 0..200 {
            let action = random.action();
            let until = now + u64::from(random.below(40));
            while now < until {
                model.cycle(clock.ticks(now, now + 1) > 0, Action::Nothing);
                now += 1;
            }
            match action {
                Action::Nothing => timer.advance(now + 1, &clock),
                Action::Write(offset, value) => timer.write(now, offset, value, &clock),
                Action::Vector => assert_eq!(timer.acknowledge_vector(now, &clock), model.vector()),
                Action::Acknowledge => timer.acknowledge_zero(now, &clock),
            }
            model.cycle(clock.ticks(now, now + 1) > 0, action);
            now += 1;
            let seen = (timer.control, timer.counter, timer.compare_control, timer.compare);
            let expected = (model.control, model.counter, model.compare_control, model.compare);
            assert_eq!(seen, expected, "seed {seed}, step {step}: {action:?}");
        }
    }
}
