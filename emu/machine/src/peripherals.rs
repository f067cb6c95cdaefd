//! Everything below `0x0200`.

pub(crate) mod clock;
pub(crate) mod dead_man;
pub(crate) mod multiplier;
pub(crate) mod port;
pub(crate) mod timer;
pub(crate) mod uart;
pub(crate) mod watchdog;

use crate::event::{Event, Log};
use crate::freshness::Freshness;
use clock::Divider;
use dead_man::DeadMan;
use multiplier::Multiplier;
use port::Port;
use timer::Timer;
use uart::Uart;
use watchdog::Watchdog;

/// All devices.
#[derive(Clone, Debug)]
pub(crate) struct Peripherals {
    legacy: bool,
    cpu_id: [u16; 2],
    /// IE1.
    enable: u8,
    /// NMIIFG, which only software raises: nothing is connected to the pin.
    nmi_flag: bool,
    /// BCSCTL1 and BCSCTL2.
    clock_control: [u8; 2],
    pub(crate) clock: Divider,
    /// The CPU's status switches SMCLK off.
    clock_off: bool,
    /// P1 to P4.
    pub(crate) ports: [Port; 4],
    pub(crate) uarts: [Uart; 2],
    pub(crate) watchdog: Watchdog,
    multiplier: Multiplier,
    pub(crate) timer: Timer,
    /// The LED digits.
    pub(crate) digits: [u8; 8],
    snapshot: u64,
    /// The cycle in which the counter was zero.
    epoch: u64,
    /// The devices of the board profile.
    pub(crate) profile: Option<ProfileDevices>,
}

/// What only boards with the profile have.
#[derive(Clone, Debug)]
pub(crate) struct ProfileDevices {
    pub(crate) freshness: Freshness,
    pub(crate) dead_man: DeadMan,
    /// Samples of the analogue inputs.
    pub(crate) analogue: [u16; 2],
}

/// The first port's addresses, and whether it has interrupts.
const PORTS: [(u16, bool); 4] = [(0x20, true), (0x28, true), (0x18, false), (0x1c, false)];

impl Peripherals {
    pub(crate) fn new(legacy: bool, cpu_id: [u16; 2], profile: Option<ProfileDevices>) -> Self {
        Self {
            legacy,
            cpu_id,
            enable: 0,
            nmi_flag: false,
            clock_control: [0; 2],
            clock: Divider::new(),
            clock_off: false,
            ports: Default::default(),
            uarts: Default::default(),
            watchdog: Watchdog::new(legacy),
            multiplier: Multiplier::default(),
            timer: Timer::default(),
            digits: [0; 8],
            snapshot: 0,
            epoch: 0,
            profile,
        }
    }

    /// The reset signal is released in `cycle`.
    pub(crate) fn reset(&mut self, cycle: u64) {
        (self.enable, self.nmi_flag) = (0, false);
        self.clock_control = [0; 2];
        self.clock = Divider::new();
        self.clock_off = false;
        self.ports.iter_mut().for_each(|port| port.reset(cycle));
        self.uarts.iter_mut().for_each(|uart| uart.reset(cycle));
        self.watchdog.reset(cycle);
        self.multiplier = Multiplier::default();
        self.timer.reset(cycle);
        self.digits = [0; 8];
        self.snapshot = 0;
        self.epoch = cycle;
        if let Some(profile) = &mut self.profile {
            profile.freshness.reset();
            profile.dead_man.reset();
        }
    }

    /// Brings all devices to a cycle.
    pub(crate) fn advance(&mut self, cycle: u64, log: &mut Log) {
        self.ports.iter_mut().for_each(|port| port.advance(cycle));
        self.uarts.iter_mut().for_each(|uart| uart.advance(cycle));
        self.watchdog.advance(cycle, &self.clock);
        self.timer.advance(cycle, &self.clock);
        if let Some(profile) = &mut self.profile
            && let Some(cycle) = profile.dead_man.advance(cycle)
        {
            log.add(Event::DeadMan { cycle, value: profile.dead_man.pins });
        }
    }

    /// The first cycle in which a device may do something by itself.
    pub(crate) fn next_event(&self) -> u64 {
        let ports = self.ports.iter().map(Port::next_event);
        let uarts = self.uarts.iter().map(Uart::next_event);
        let others = [self.watchdog.next_event(&self.clock), self.timer.next_event(&self.clock)];
        let dead_man = self.profile.as_ref().map(|profile| profile.dead_man.next_event());
        ports.chain(uarts).chain(others).chain(dead_man).min().unwrap_or(u64::MAX)
    }

    /// The interrupts that are asserted, bit by bit.
    pub(crate) fn interrupts(&self) -> u16 {
        let watchdog = self.watchdog.is_interval() && self.watchdog.flag && self.enable & 1 != 0;
        u16::from(self.ports[0].interrupt()) << 2
            | u16::from(self.ports[1].interrupt()) << 3
            | u16::from(self.uarts[0].transmit_interrupt()) << 6
            | u16::from(self.uarts[0].receive_interrupt()) << 7
            | u16::from(self.timer.vector() != 0) << 8
            | u16::from(self.timer.compares_zero()) << 9
            | u16::from(watchdog) << 10
    }

    /// Is the interrupt asserted that cannot be masked?
    pub(crate) fn nmi(&self) -> bool {
        self.nmi_flag && self.enable & 0x10 != 0
    }

    /// The CPU begins to take an interrupt in a cycle; devices hear of it in the next one.
    pub(crate) fn acknowledge(&mut self, number: u16, cycle: u64) {
        match number {
            9 => self.timer.acknowledge_zero(cycle + 1, &self.clock),
            10 => {
                // If it expires in that very cycle, the flag stays.
                self.watchdog.advance(cycle + 1, &self.clock);
                self.watchdog.flag = false;
            }
            14 => self.enable &= !0x10,
            _ => {}
        }
    }

    /// Reads the word at an even address in a cycle.
    pub(crate) fn read(&mut self, address: u16, cycle: u64, log: &mut Log) -> u16 {
        match address {
            0x00 => self.enable.into(),
            0x02 => {
                self.watchdog.advance(cycle, &self.clock);
                u16::from(self.watchdog.flag) | u16::from(self.nmi_flag) << 4
            }
            0x04 | 0x06 => self.cpu_id[usize::from(address / 2 - 2)],
            0x18..=0x2f => self.read_port(address, cycle),
            0x56 => u16::from(self.clock_control[0]) << 8,
            0x58 => self.clock_control[1].into(),
            0x80..=0x8f => {
                let uart = &mut self.uarts[usize::from(address >> 3 & 1)];
                uart.advance(cycle);
                u16::from_le_bytes([uart.read(address & 7), uart.read(address & 7 | 1)])
            }
            0x90..=0x97 => {
                let at = usize::from(address - 0x90);
                u16::from_le_bytes([self.digits[at], self.digits[at + 1]])
            }
            0x120 => self.watchdog.read(),
            0x12e | 0x160..=0x176 => self.read_timer(address, cycle),
            0x130..=0x13e => self.multiplier.read((address - 0x130) / 2),
            0x190..=0x196 => {
                let bytes = self.snapshot.to_le_bytes();
                let at = usize::from(address - 0x190);
                u16::from_le_bytes([bytes[at], bytes[at + 1]])
            }
            0x1a0..=0x1cb => self.read_profile(address, cycle, log),
            _ => 0,
        }
    }

    fn read_profile(&mut self, address: u16, cycle: u64, log: &mut Log) -> u16 {
        if self.profile.is_some() {
            self.advance(cycle, log);
        }
        let Some(profile) = &self.profile else { return 0 };
        match address {
            0x1a0 => profile.freshness.kind().code(),
            0x1b0..=0x1be => profile.freshness.word((address - 0x1b0) / 2),
            0x1c0..=0x1c6 => profile.dead_man.read((address - 0x1c0) / 2),
            0x1c8 | 0x1ca => profile.analogue[usize::from(address == 0x1ca)],
            _ => 0,
        }
    }

    fn write_profile(&mut self, address: u16, value: u16, cycle: u64, log: &mut Log) {
        if self.profile.is_some() {
            self.advance(cycle + 1, log);
        }
        let Some(profile) = &mut self.profile else { return };
        match address {
            0x1a0 => profile.freshness.draw(),
            0x1c0..=0x1c6 => {
                let before = profile.dead_man.pins;
                profile.dead_man.write((address - 0x1c0) / 2, value, cycle + 1);
                if profile.dead_man.pins != before {
                    log.add(Event::DeadMan { cycle: cycle + 1, value: profile.dead_man.pins });
                }
            }
            _ => {}
        }
    }

    fn read_port(&mut self, address: u16, cycle: u64) -> u16 {
        let byte = |port: &Port, first, interrupts, address| port.read(address - first, interrupts);
        for (port, (first, interrupts)) in self.ports.iter_mut().zip(PORTS) {
            let length = if interrupts { 8 } else { 4 };
            if (first..first + length).contains(&address) {
                port.advance(cycle);
                let low = byte(port, first, interrupts, address);
                return u16::from_le_bytes([low, byte(port, first, interrupts, address + 1)]);
            }
        }
        0
    }

    fn read_timer(&mut self, address: u16, cycle: u64) -> u16 {
        if address == 0x12e {
            return self.timer.acknowledge_vector(cycle, &self.clock);
        }
        self.timer.advance(cycle, &self.clock);
        self.timer.read(address - 0x160)
    }

    /// Writes to the word at an even address in a cycle; visible one later.
    ///
    /// A byte stands in both halves of `value`; `lanes` tells which byte is meant. Word registers take both.
    pub(crate) fn write(&mut self, address: u16, value: u16, lanes: [bool; 2], cycle: u64, log: &mut Log) {
        let [low, high] = value.to_le_bytes();
        match address {
            0x00 if lanes[0] => self.enable = low & if self.legacy { 0x11 } else { 0x01 },
            0x02 if lanes[0] => {
                self.nmi_flag = self.legacy && low & 0x10 != 0;
                self.watchdog.set_flag(cycle, low & 1 != 0, &self.clock);
            }
            0x18..=0x2f => self.write_port(address, value, lanes, cycle, log),
            0x56 if lanes[1] => self.clock_control[0] = high & 0x30,
            0x58 if lanes[0] => self.divide(low, cycle, log),
            0x80..=0x8f => self.uarts[usize::from(address >> 3 & 1)].write(cycle, address & 7, value, lanes),
            0x90..=0x97 => {
                for (lane, byte) in [low, high].into_iter().enumerate().filter(|(lane, _)| lanes[*lane]) {
                    let digit = usize::from(address - 0x90) + lane;
                    self.digits[digit] = byte;
                    log.add(Event::Digit { cycle: cycle + 1, digit, value: byte });
                }
            }
            0x120 => {
                // The pin NMI is low: choosing its falling edge looks like one.
                self.nmi_flag |= self.legacy && value & !self.watchdog.read() & 0x40 != 0;
                self.watchdog.write(cycle, value, &self.clock);
            }
            0x12e => {
                self.timer.acknowledge_vector(cycle, &self.clock);
            }
            0x130..=0x13e => self.multiplier.write((address - 0x130) / 2, value),
            0x160..=0x176 => self.timer.write(cycle, address - 0x160, value, &self.clock),
            0x190..=0x196 => self.snapshot = cycle - self.epoch,
            0x1a0..=0x1cb => self.write_profile(address, value, cycle, log),
            _ => {}
        }
    }

    fn divide(&mut self, value: u8, cycle: u64, log: &mut Log) {
        self.advance(cycle + 1, log);
        self.clock_control[1] = value & 0x0e;
        self.set_clock(cycle + 1);
    }

    /// The CPU switches SMCLK off or on (SCG1); all devices are at `cycle`.
    pub(crate) fn switch_clock(&mut self, off: bool, cycle: u64) {
        if off != self.clock_off {
            self.clock_off = off;
            self.set_clock(cycle);
        }
    }

    fn set_clock(&mut self, phase: u64) {
        let control = self.clock_control[1];
        // Bit 3 selects ACLK, which never ticks.
        let stopped = self.clock_off || control & 8 != 0;
        self.clock = Divider { shift: u32::from(control >> 1 & 3), phase, stopped };
        self.uarts.iter_mut().for_each(|uart| uart.shift = self.clock.shift);
    }

    fn write_port(&mut self, address: u16, value: u16, lanes: [bool; 2], cycle: u64, log: &mut Log) {
        let bytes = value.to_le_bytes();
        for (number, (port, (first, interrupts))) in (1..).zip(self.ports.iter_mut().zip(PORTS)) {
            let length = if interrupts { 8 } else { 4 };
            if !(first..first + length).contains(&address) {
                continue;
            }
            for lane in [0, 1] {
                if lanes[usize::from(lane)] {
                    let before = port.output;
                    port.write(cycle, address - first + lane, interrupts, bytes[usize::from(lane)]);
                    if port.output != before {
                        log.add(Event::Port { cycle: cycle + 1, port: number, value: port.output });
                    }
                }
            }
        }
    }
}
