//! The board: what drives the CPU from one instruction to the next.

use crate::config::{Config, Profile};
use crate::elf::Program;
use crate::event::{Cause, Event, Kinds, Violation};
use crate::frame;
use crate::freshness::{Freshness, FreshnessSource};
use crate::hardware::{Hardware, Horizon};
use veritee_msp430::{Cpu, alu};
use veritee_sancus_core::Slot;

/// Why [`Board::run_until`] came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Stop {
    /// The cycle is reached.
    Limit,
    /// The CPU sleeps, and no device will wake it by itself.
    Asleep,
    /// A breakpoint is at the program counter.
    Breakpoint,
}

/// Cycles from the release of reset to the first instruction.
pub const RESET_CYCLES: u64 = 6;

/// More cycles than any instruction has, but for those of Sancus.
const RESET_SPAN: u64 = 64;

/// How often the board looks whether a queued byte can arrive.
const QUEUE_CYCLES: u64 = 64;

/// A board.
#[derive(Clone, Debug)]
pub struct Board {
    pub(crate) cpu: Cpu,
    pub(crate) hardware: Hardware,
    config: Config,
    breakpoints: Vec<u16>,
}

impl Board {
    /// A board with empty memory. [`Board::reset`] starts what was loaded.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { cpu: Cpu::default(), hardware: Hardware::new(&config), config, breakpoints: Vec::new() }
    }

    /// How the board was configured.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Switches it on: the reset signal is released in cycle 0, the first instruction starts in cycle [`RESET_CYCLES`].
    pub fn power_up(&mut self) {
        self.hardware.cycle = RESET_CYCLES;
        self.restart(0);
    }

    fn restart(&mut self, released: u64) {
        self.hardware.reset(released);
        self.cpu = Cpu::default();
        self.cpu.registers[0] = self.hardware.peek(0xfffe) & !1;
    }

    /// The cycle of the next instruction.
    #[must_use]
    pub const fn cycle(&self) -> u64 {
        self.hardware.cycle
    }

    /// The registers, by number.
    #[must_use]
    pub const fn registers(&self) -> [u16; 16] {
        let mut registers = self.cpu.registers;
        registers[2] = self.cpu.status;
        registers
    }

    /// Sets a register from outside.
    pub fn set_register(&mut self, number: usize, value: u16) {
        match number {
            2 => self.cpu.status = value,
            _ => self.cpu.registers[number] = value,
        }
        self.hardware.deadline = 0;
    }

    /// The byte of memory at an address, without rights.
    #[must_use]
    pub fn memory(&self, address: u16) -> u8 {
        self.hardware.peek(address).to_le_bytes()[usize::from(address & 1)]
    }

    /// Writes a byte of memory from outside.
    pub fn set_memory(&mut self, address: u16, value: u8) {
        let mut bytes = self.hardware.peek(address).to_le_bytes();
        bytes[usize::from(address & 1)] = value;
        self.hardware.poke(address, u16::from_le_bytes(bytes));
    }

    /// Writes bytes of memory from outside.
    pub fn load(&mut self, address: u16, bytes: &[u8]) {
        let mut place = address;
        for byte in bytes {
            self.set_memory(place, *byte);
            place = place.wrapping_add(1);
        }
    }

    /// Which events are recorded.
    pub fn record(&mut self, kinds: Kinds) {
        self.hardware.log.kinds = kinds;
    }

    /// Takes the recorded events.
    pub fn take_events(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.hardware.log.events)
    }

    /// Id of the current module, id before it, id that the next module gets.
    #[must_use]
    pub const fn module_ids(&self) -> [u16; 3] {
        let unit = &self.hardware.unit;
        [unit.current, unit.previous, unit.next_id]
    }

    /// The slots of modules.
    #[must_use]
    pub fn modules(&self) -> &[Option<Slot>] {
        &self.hardware.unit.slots
    }

    /// From `cycle` on the eight pins of a port (1 or 2) have a value.
    pub fn schedule_pins(&mut self, port: usize, cycle: u64, value: u8) {
        self.hardware.peripherals.ports[port - 1].schedule(cycle, value);
        self.hardware.deadline = 0;
    }

    /// The value that the eight pins of a port (1 or 2) have, or will have after all that was scheduled.
    ///
    /// # Panics
    /// Other ports have no pins that can be set.
    #[must_use]
    pub fn pins(&self, port: usize) -> u8 {
        self.hardware.peripherals.ports[..2][port - 1].pins()
    }

    /// The output registers of ports 1 to 4.
    #[must_use]
    pub fn port_outputs(&self) -> [u8; 4] {
        [0, 1, 2, 3].map(|port: usize| self.hardware.peripherals.ports[port].output)
    }

    /// The LED digits.
    #[must_use]
    pub const fn digits(&self) -> [u8; 8] {
        self.hardware.peripherals.digits
    }

    /// The samples of the analogue inputs; none without the board profile.
    #[must_use]
    pub fn analogue(&self) -> Option<[u16; 2]> {
        Some(self.hardware.peripherals.profile.as_ref()?.analogue)
    }

    /// A start bit begins on the first serial line at `cycle`.
    pub fn schedule_byte(&mut self, cycle: u64, byte: u8) {
        self.hardware.peripherals.uarts[0].schedule(cycle, byte);
        self.hardware.deadline = 0;
    }

    /// Sends a byte to the first serial line, as a careful host does.
    ///
    /// It arrives not before the line could have brought it, when the software has taken the last one, and while no module
    /// runs: published modules do not survive an interrupt.
    pub fn send_byte(&mut self, byte: u8) {
        self.hardware.peripherals.uarts[0].queue(byte);
        self.hardware.deadline = 0;
    }

    /// Bytes of [`Board::send_byte`] that did not arrive yet.
    #[must_use]
    pub fn bytes_waiting(&self) -> usize {
        self.hardware.peripherals.uarts[0].queued()
    }

    /// Replaces the source of freshness; does nothing without the board profile.
    pub fn set_freshness(&mut self, source: impl FreshnessSource + 'static) {
        if let Some(profile) = &mut self.hardware.peripherals.profile {
            profile.freshness = Freshness::new(source);
        }
    }

    /// The dead-man pins; none without the board profile.
    #[must_use]
    pub fn dead_man_pins(&self) -> Option<u8> {
        Some(self.hardware.peripherals.profile.as_ref()?.dead_man.pins)
    }

    /// Sets the sample of an analogue input (0 or 1) to 0 to 4095. Gives false without the board profile.
    ///
    /// # Panics
    /// There are only two inputs.
    pub fn set_analogue(&mut self, channel: usize, sample: u16) -> bool {
        let profile = self.hardware.peripherals.profile.as_mut();
        profile.map(|profile| profile.analogue[channel] = sample.min(4095)).is_some()
    }

    /// Resets the board from outside, like its button: memory stays.
    pub fn reset(&mut self) {
        self.reset_in(self.hardware.cycle + 1, Cause::Outside);
    }

    /// Loads a program's sections.
    pub fn load_program(&mut self, program: &Program) {
        for section in &program.sections {
            self.load(section.address, &section.bytes);
        }
    }

    /// Takes a byte that was sent on a serial line: its start and end, and the byte.
    pub fn take_byte(&mut self, line: usize) -> Option<(u64, u64, u8)> {
        let now = self.hardware.cycle;
        let sent = self.hardware.peripherals.uarts[line].sent.pop_front_if(|sent| sent.end <= now)?;
        Some((sent.cycle, sent.end, sent.byte))
    }

    /// The violations so far, out of the recorded events.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let violation = |event: &Event| match event {
            Event::Violation(violation) => Some(*violation),
            _ => None,
        };
        self.hardware.log.events.iter().filter_map(violation).collect()
    }

    /// Runs stop before the instruction at an address starts.
    pub fn add_breakpoint(&mut self, address: u16) {
        self.breakpoints.push(address);
        self.hardware.deadline = 0;
    }

    /// Removes a breakpoint.
    pub fn remove_breakpoint(&mut self, address: u16) {
        self.breakpoints.retain(|other| *other != address);
    }

    /// The cycle in which the instruction started that put the CPU to sleep.
    #[must_use]
    pub const fn last_start(&self) -> u64 {
        self.hardware.slept
    }

    /// Is the CPU switched off, waiting for an interrupt?
    #[must_use]
    pub const fn sleeps(&self) -> bool {
        self.cpu.status & alu::CPUOFF != 0
    }

    /// The first cycle in which a device may do something by itself; `u64::MAX` if none ever will.
    #[must_use]
    pub fn next_event(&self) -> u64 {
        let peripherals = &self.hardware.peripherals;
        // An interrupt that waited for the instruction that switched the CPU off comes in the next cycle.
        if self.cpu.status & alu::GIE != 0 && peripherals.interrupts() != 0 {
            return self.cycle() + 1;
        }
        if self.bytes_waiting() > 0 { self.cycle() + QUEUE_CYCLES } else { peripherals.next_event() }
    }

    /// Runs until `cycle`, or until something stops it before.
    pub fn run_until(&mut self, limit: u64) -> Stop {
        loop {
            if self.hardware.reset_due() < self.hardware.cycle + RESET_SPAN
                && self.hardware.cycle < self.hardware.deadline
            {
                self.step_before_reset();
            }
            while self.hardware.cycle < self.hardware.deadline {
                let cost = self.cpu.step(&mut self.hardware);
                self.hardware.cycle += u64::from(cost);
            }
            if self.hardware.cycle >= limit {
                self.hardware.deadline = 0;
                return Stop::Limit;
            }
            if let Some(stop) = self.boundary(limit, true) {
                self.hardware.deadline = 0;
                return stop;
            }
        }
    }

    /// Takes an interrupt (0 to 12) now, whether it is enabled or not, as a debugger may.
    ///
    /// # Panics
    /// Violations (13) and resets (15) are not injected.
    pub fn inject_interrupt(&mut self, number: u16) {
        assert!(number < 13, "interrupt {number} cannot be injected");
        self.hardware.peripherals.advance(self.hardware.cycle, &mut self.hardware.log);
        self.cpu.status &= !alu::CPUOFF;
        self.interrupt(number, true);
    }

    /// Executes one instruction, or takes one interrupt.
    pub fn step(&mut self) -> Option<Stop> {
        let before = self.hardware.cycle;
        let stop = self.boundary(before + 1, false);
        if stop.is_none() && self.hardware.cycle == before {
            self.step_before_reset();
        }
        self.hardware.deadline = 0;
        stop
    }

    /// Executes an instruction that a reset may cut short.
    fn step_before_reset(&mut self) {
        let horizon = self.hardware.reset_due();
        let cost = self.cpu.step(&mut Horizon { hardware: &mut self.hardware, horizon });
        self.hardware.cycle += u64::from(cost);
    }

    /// What is due between two instructions.
    fn boundary(&mut self, limit: u64, breaks: bool) -> Option<Stop> {
        let hardware = &mut self.hardware;
        let now = hardware.cycle;
        hardware.peripherals.advance(now, &mut hardware.log);
        hardware.peripherals.switch_clock(self.cpu.status & alu::SCG1 != 0, now);
        let queued = hardware.peripherals.uarts[0].queued() > 0;
        if queued && hardware.unit.current == 0 {
            hardware.peripherals.uarts[0].deliver(now);
        }
        if self.watchdog_reset() {
            return None;
        }
        let hardware = &mut self.hardware;
        let gie = hardware.delayed_gie.take().unwrap_or(self.cpu.status & alu::GIE != 0);
        let masked = hardware.masked_cycle.take() == Some(now);
        let requests = hardware.peripherals.interrupts();
        if hardware.violated && self.violation_resets() {
            return None;
        }
        let hardware = &mut self.hardware;
        if hardware.peripherals.nmi() {
            self.interrupt(14, gie);
            return None;
        }
        if hardware.violated {
            self.interrupt(13, gie);
            return None;
        }
        if gie && !masked && requests != 0 {
            self.interrupt(15 - u16::try_from(requests.leading_zeros()).unwrap_or(0), gie);
            return None;
        }
        let wrote = hardware.settle();
        if self.watchdog_reset() {
            return None;
        }
        let hardware = &mut self.hardware;
        if self.cpu.status & alu::CPUOFF != 0 {
            return self.sleep(limit);
        }
        if breaks && self.breakpoints.contains(&self.cpu.registers[0]) {
            return Some(Stop::Breakpoint);
        }
        // What the last instruction wrote to a device may have enabled an interrupt, which comes after the next one.
        let requests = if wrote { hardware.peripherals.interrupts() } else { requests };
        let again = requests != 0 && self.cpu.status & alu::GIE != 0
            || hardware.peripherals.nmi()
            || hardware.log.kinds.instructions
            || !self.breakpoints.is_empty();
        let next = if again { now + 1 } else { hardware.peripherals.next_event() };
        let next = if queued { next.min(now + QUEUE_CYCLES) } else { next };
        // Instructions that a reset might cut short are executed one by one.
        let next = next.min(hardware.reset_due().saturating_sub(RESET_SPAN));
        hardware.deadline = next.min(limit).max(now + 1);
        if hardware.log.kinds.instructions {
            hardware.deadline = now + 1;
            let address = self.cpu.registers[0];
            let module = hardware.unit.id_at(address);
            let words = [0, 2, 4].map(|offset| hardware.peek(address.wrapping_add(offset)));
            hardware.log.add(Event::Instruction { cycle: now, address, module, words });
        }
        None
    }

    fn sleep(&mut self, limit: u64) -> Option<Stop> {
        let hardware = &mut self.hardware;
        let now = hardware.cycle;
        let next = hardware.peripherals.next_event().max(now + 1);
        let queued = hardware.peripherals.uarts[0].queued() > 0;
        let next = if queued { next.min(now + QUEUE_CYCLES) } else { next };
        // An interrupt that waited for the instruction that switched the CPU off comes in the next cycle.
        let wakes = self.cpu.status & alu::GIE != 0 && hardware.peripherals.interrupts() != 0;
        let next = if wakes { now + 1 } else { next };
        hardware.cycle = next.min(limit);
        (next == u64::MAX).then_some(Stop::Asleep)
    }

    /// Resets after a violation, if it is such a board.
    fn violation_resets(&mut self) -> bool {
        let resets = self.config.reset_on_violation || self.config.profile == Profile::Veritee;
        if resets {
            self.reset_in(self.hardware.violated_at + 1, Cause::Violation);
        }
        resets
    }

    /// Resets, if the watchdog does so before another instruction could start.
    fn watchdog_reset(&mut self) -> bool {
        let active = self.hardware.reset_due();
        if active > self.hardware.cycle + 1 {
            return false;
        }
        self.reset_in(active, Cause::Watchdog);
        true
    }

    /// The reset signal becomes active in a cycle.
    fn reset_in(&mut self, active: u64, cause: Cause) {
        let released = active + 3;
        for (port, number) in self.hardware.peripherals.ports.iter().zip(1..) {
            if port.output != 0 {
                self.hardware.log.add(Event::Port { cycle: active, port: number, value: 0 });
            }
        }
        if let Some(profile) = &self.hardware.peripherals.profile
            && profile.dead_man.pins != self.config.dead_man_safe
        {
            self.hardware.log.add(Event::DeadMan { cycle: active, value: self.config.dead_man_safe });
        }
        self.hardware.log.add(Event::Reset { cycle: active, released, cause });
        if cause == Cause::Watchdog {
            self.hardware.peripherals.watchdog.expire_by(active);
        }
        self.restart(released);
        self.hardware.cycle = released + RESET_CYCLES;
    }

    /// Takes an interrupt.
    fn interrupt(&mut self, number: u16, gie: bool) {
        let hardware = &mut self.hardware;
        hardware.log.add(Event::Interrupt { cycle: hardware.cycle, number });
        hardware.settle();
        hardware.peripherals.acknowledge(number, hardware.cycle);
        hardware.end_violation();
        let slot = hardware.unit.module_at(hardware.unit.pc).filter(|_| hardware.unit.current < 0xfff0).cloned();
        hardware.unit.enter(0xfff0 + number);
        let handler = hardware.peek(0xffe0 + 2 * number);
        let horizon = hardware.reset_due();
        let mut bus = Horizon { hardware, horizon };
        let cycles = match slot {
            None => {
                // The newer core tells the handler of a violation.
                if number == 13 && !bus.hardware.unit.is_legacy() {
                    self.cpu.status |= frame::VIOLATION;
                }
                frame::push_plain(&mut self.cpu, &mut bus, handler)
            }
            Some(slot) if bus.hardware.unit.is_legacy() => frame::push(&mut self.cpu, &mut bus, &slot, handler),
            Some(slot) => frame::save(&mut self.cpu, &mut bus, &slot, handler, gie, number == 13),
        };
        if self.hardware.violated && self.violation_resets() {
            return;
        }
        // What goes wrong on the way to a handler calls none.
        self.hardware.end_violation();
        self.hardware.after_interrupt();
        self.hardware.cycle += cycles;
    }
}
