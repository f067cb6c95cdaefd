//! What the CPU is connected to: the memory map, with the protection unit on it.

use crate::config::{Config, Profile};
use crate::event::{Breach, Event, Log, Violation};
use crate::freshness::{Freshness, VolatileCounter};
use crate::peripherals::dead_man::DeadMan;
use crate::peripherals::{Peripherals, ProfileDevices};
use veritee_msp430::decode::{self, UNKNOWN};
use veritee_msp430::{Bus, Cpu, Instruction, Packed, alu};
use veritee_sancus_core::{Access, Memory, MemoryMap, Range, Unit};

/// Words of the address space.
const WORDS: usize = 1 << 15;

/// Why an access to a word leaves the fast path.
mod attribute {
    /// A peripheral.
    pub(super) const PERIPHERAL: u8 = 1;
    /// Nothing is there.
    pub(super) const HOLE: u8 = 2;
    /// A module's section.
    pub(super) const GUARDED: u8 = 4;
    /// Program memory: only writes are slow.
    pub(super) const ROM: u8 = 8;
    /// Program memory that is never written.
    pub(super) const PROTECTED: u8 = 16;
    /// A violation hides all of memory until its interrupt is taken.
    pub(super) const HIDDEN: u8 = 32;
    /// What makes reads slow.
    pub(super) const SLOW_READ: u8 = PERIPHERAL | HOLE | GUARDED | HIDDEN;
}

/// The owner of code in no module.
pub(crate) const NOBODY: u8 = 0;
/// The owner of code in several modules; never the current one.
const SEVERAL: u8 = 255;
/// The current owner when the next instruction needs the slow path.
const UNSURE: u8 = 254;

/// What stands for an instruction that must be decoded: its owner is never the current one.
const FORGOTTEN: Packed = Instruction { owner: SEVERAL, ..UNKNOWN }.pack();

/// A write to a peripheral that takes effect at the end of its cycle.
#[derive(Clone, Copy, Debug)]
struct Pending {
    address: u16,
    value: u16,
    lanes: [bool; 2],
    cycle: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Hardware {
    memory: Box<[u16; WORDS]>,
    attributes: Box<[u8; WORDS]>,
    /// Takes the place of the attributes while a violation hides memory; the real ones are then here.
    veil: Box<[u8; WORDS]>,
    code: Box<[Packed; WORDS]>,
    /// The cycle in which the current instruction started.
    pub(crate) cycle: u64,
    /// The fast path ends here.
    pub(crate) deadline: u64,
    /// Owner of the current instruction.
    pub(crate) owner: u8,
    guard: u16,
    pub(crate) unit: Unit,
    pub(crate) peripherals: Peripherals,
    pending: Option<Pending>,
    pub(crate) log: Log,
    pub(crate) rom: Range,
    ram_end: u16,
    status_mask: u16,
    /// Where the last instruction started that put the CPU to sleep.
    pub(crate) slept: u64,
    /// The interrupt enable before the status register was written by the last instruction.
    pub(crate) delayed_gie: Option<bool>,
    /// The cycle in which GIE is masked, because the current id changed.
    pub(crate) masked_cycle: Option<u64>,
    /// The cycle in which the last violation was.
    pub(crate) violated_at: u64,
    /// The current instruction is in a module that was not entered at its first address.
    pub(crate) entered_wrongly: bool,
    /// A violation waits for its interrupt.
    pub(crate) violated: bool,
    /// A fetch of a word at an address is replaced by another word.
    disturbed: Option<(u16, u16)>,
    /// Board profile: strict.
    pub(crate) strict: bool,
}

impl Hardware {
    pub(crate) fn new(config: &Config) -> Self {
        let legacy = config.generation == veritee_sancus_core::Generation::Legacy;
        let unit = Unit::new(veritee_sancus_core::Config {
            generation: config.generation,
            security: config.security,
            slots: config.slots,
            node_key: config.node_key,
            profile: (config.profile == Profile::Veritee).then_some(MemoryMap {
                ram: Range { start: 0x200, end: 0x200 + config.ram },
                rom_start: 0u16.wrapping_sub(config.rom),
            }),
        });
        let cpu_id = [0x0202, (config.rom / 1024) << 10 | (config.ram / 128) << 1 & 0x3fe | 1];
        let profile = (config.profile == Profile::Veritee).then(|| ProfileDevices {
            freshness: Freshness::new(VolatileCounter::default()),
            dead_man: DeadMan::new(config.dead_man_safe),
            analogue: [0; 2],
        });
        let mut this = Self {
            memory: boxed(0),
            attributes: boxed(0),
            veil: boxed(attribute::HIDDEN),
            code: boxed(FORGOTTEN),
            cycle: 0,
            deadline: 0,
            owner: NOBODY,
            guard: 0,
            unit,
            peripherals: Peripherals::new(legacy, cpu_id, profile),
            pending: None,
            log: Log::default(),
            rom: Range { start: 0u16.wrapping_sub(config.rom), end: 0xffff },
            ram_end: 0x200 + config.ram,
            status_mask: 0x01bf,
            slept: 0,
            delayed_gie: None,
            masked_cycle: None,
            violated_at: 0,
            entered_wrongly: false,
            violated: false,
            disturbed: None,
            strict: config.profile == Profile::Veritee,
        };
        this.mark();
        this
    }

    /// The reset signal is released in `cycle`: everything but memory.
    pub(crate) fn reset(&mut self, cycle: u64) {
        self.unit.reset();
        self.peripherals.reset(cycle);
        self.pending = None;
        self.guard = 0;
        self.owner = NOBODY;
        self.delayed_gie = None;
        self.masked_cycle = None;
        self.end_violation();
        self.disturbed = None;
        self.deadline = 0;
        self.mark();
    }

    /// Sets the attributes of all words and forgets decoded instructions.
    fn mark(&mut self) {
        self.code.fill(FORGOTTEN);
        let attributes = if self.violated { &mut self.veil } else { &mut self.attributes };
        for (word, attribute) in (0..=0x7fffu16).zip(attributes.iter_mut()) {
            let address = word << 1;
            *attribute = match address {
                0..0x200 => attribute::PERIPHERAL,
                _ if address >= self.rom.start => attribute::ROM,
                _ if address < self.ram_end => 0,
                _ => attribute::HOLE,
            };
            if self.strict && ((0xfc00..0xffe0).contains(&address) || address == 0xfffe) {
                *attribute |= attribute::PROTECTED;
            }
        }
        for slot in self.unit.slots.iter().flatten() {
            for range in [slot.text, slot.secret].into_iter().filter(|range| !range.is_empty()) {
                for word in range.start >> 1..=(range.end - 1) >> 1 {
                    attributes[usize::from(word)] |= attribute::GUARDED;
                }
            }
        }
    }

    /// The memory as it is, without rights; peripherals read as they were last looked at.
    pub(crate) fn peek(&self, address: u16) -> u16 {
        self.memory[usize::from(address >> 1)]
    }

    /// Changes memory from outside.
    pub(crate) fn poke(&mut self, address: u16, value: u16) {
        self.memory[usize::from(address >> 1)] = value;
        self.forget(address);
    }

    /// Forgets decoded instructions that contain a word.
    fn forget(&mut self, address: u16) {
        for back in 0..3 {
            self.code[usize::from((address >> 1).wrapping_sub(back) & 0x7fff)] = FORGOTTEN;
        }
    }

    /// Who owns the code at an address.
    fn owner_at(&self, address: u16) -> u8 {
        let mut owners =
            (1u8..).zip(&self.unit.slots).filter(|(_, slot)| slot.as_ref().is_some_and(|s| s.text.contains(address)));
        match (owners.next(), owners.next()) {
            (None, _) => NOBODY,
            (Some((owner, _)), None) => owner,
            _ => SEVERAL,
        }
    }

    /// The slow part of starting an instruction: decoding, and changes of module.
    #[inline(never)]
    fn start(&mut self, address: u16) -> Packed {
        let owner = self.owner_at(address);
        self.transition(address);
        self.owner = if owner == SEVERAL { UNSURE } else { owner };
        if let Some(disturbance) = self.disturbed.take() {
            return self.start_disturbed(address, disturbance).pack();
        }
        let place = usize::from(address >> 1);
        if self.code[place] == FORGOTTEN {
            let instruction = Instruction { owner, ..self.decode(address) }.pack();
            if address < self.rom.start {
                return instruction;
            }
            self.code[place] = instruction;
        }
        self.code[place]
    }

    fn decode(&self, address: u16) -> Instruction {
        if address < self.rom.start {
            // Nothing is selected there; the hardware sees words that do nothing.
            return decode::decode(address, [0x4303, 0, 0]);
        }
        decode::decode(address, [0, 2, 4].map(|offset| self.peek(address.wrapping_add(offset))))
    }

    /// An instruction one of whose words the hardware does not fetch, but takes from the bus as it was left.
    ///
    /// Only the second word after the disturbing instruction is wrong: the extension of the next instruction, or, if that
    /// has one word and takes one cycle, the instruction behind it.
    fn start_disturbed(&mut self, address: u16, (place, word): (u16, u16)) -> Instruction {
        let words = [0, 2, 4].map(|offset| address.wrapping_add(offset));
        let contents = words.map(|at| if at == place { word } else { self.peek(at) });
        let instruction = decode::decode(address, contents);
        if words[1] == place && instruction.length == 2 && instruction.cycles == 1 {
            self.disturbed = Some((place, word));
        }
        self.owner = UNSURE;
        instruction
    }

    /// The program counter enters or leaves a module.
    fn transition(&mut self, address: u16) {
        let entry = self.unit.start(address);
        self.entered_wrongly = entry.violation;
        if entry.violation {
            self.violate(1, Breach::Enter(address));
        }
        if entry.changed && (self.unit.is_legacy() || self.unit.current != 0) {
            self.masked_cycle = Some(self.cycle + 1);
        }
    }

    /// A rule is broken in a cycle of the current instruction.
    pub(crate) fn violate(&mut self, at: u32, what: Breach) {
        self.deadline = 0;
        // The signal stays until its interrupt is taken.
        if core::mem::replace(&mut self.violated, true) {
            return;
        }
        core::mem::swap(&mut self.attributes, &mut self.veil);
        let cycle = self.cycle + u64::from(at);
        self.violated_at = cycle;
        let address = match what {
            Breach::ReadText(address)
            | Breach::WriteText(address)
            | Breach::ReadSecret(address)
            | Breach::WriteSecret(address)
            | Breach::Enter(address)
            | Breach::Stack(address)
            | Breach::Command(address)
            | Breach::Protected(address) => address,
        };
        let slot = self.unit.modules().find(|slot| slot.text.contains(address) || slot.secret.contains(address));
        let (module, text) = (slot.map(|slot| slot.id), slot.map(|slot| slot.text).unwrap_or_default());
        self.log.add(Event::Violation(Violation { cycle, pc: self.unit.pc, what, module, text }));
    }

    /// The violation signal falls: memory is visible again. Without ids left it never falls.
    pub(crate) fn end_violation(&mut self) {
        if self.unit.is_exhausted() {
            return;
        }
        if core::mem::replace(&mut self.violated, false) {
            core::mem::swap(&mut self.attributes, &mut self.veil);
        }
    }

    /// Why accesses to a word are not simple, whether memory is hidden or not.
    fn attributes_at(&self, address: u16) -> u8 {
        let attributes = if self.violated { &self.veil } else { &self.attributes };
        attributes[usize::from(address >> 1)]
    }

    /// Applies what the last instruction wrote to peripherals. Gives whether it wrote anything.
    pub(crate) fn settle(&mut self) -> bool {
        let Some(Pending { address, value, lanes, cycle }) = self.pending.take() else { return false };
        self.peripherals.write(address, value, lanes, cycle, &mut self.log);
        true
    }

    /// An interrupt was taken: whoever comes next comes from there.
    pub(crate) fn after_interrupt(&mut self) {
        self.owner = UNSURE;
        self.deadline = 0;
        self.disturbed = None;
        self.delayed_gie = None;
    }

    /// Clears the stack guard.
    pub(crate) fn clear_guard(&mut self) {
        self.guard = 0;
    }

    /// The cycle in which the watchdog's reset becomes active, if nobody prevents it.
    pub(crate) fn reset_due(&self) -> u64 {
        self.peripherals.watchdog.reset_due(&self.peripherals.clock)
    }

    /// Is an access forbidden?
    fn forbidden(&mut self, access: Access, at: u32) -> bool {
        if !self.unit.forbids(access, false) {
            return false;
        }
        let address = access.address;
        let text = self.unit.modules().any(|slot| slot.text.contains(address));
        let what = match (text, access.write != [false; 2]) {
            (true, false) => Breach::ReadText(address),
            (true, true) => Breach::WriteText(address),
            (false, false) => Breach::ReadSecret(address),
            (false, true) => Breach::WriteSecret(address),
        };
        self.violate(at, what);
        true
    }

    #[inline(never)]
    fn read_slowly(&mut self, address: u16, at: u32) -> u16 {
        let attributes = self.attributes_at(address);
        let guarded = attributes & attribute::GUARDED != 0 && self.forbidden(Access::read(address), at);
        let forbidden = guarded || self.violated;
        let value = if attributes & attribute::PERIPHERAL != 0 {
            self.settle();
            self.deadline = 0;
            self.peripherals.read(address & !1, self.cycle + u64::from(at), &mut self.log)
        } else if attributes & attribute::HOLE != 0 {
            0
        } else {
            self.peek(address)
        };
        if forbidden { 0 } else { value }
    }

    #[inline(never)]
    fn write_slowly(&mut self, address: u16, value: u16, access: Access, at: u32) -> u32 {
        let attributes = self.attributes_at(address);
        let guarded = attributes & (attribute::GUARDED | attribute::PROTECTED) != 0;
        let mut forbidden = guarded && self.forbidden(access, at) || self.violated;
        if attributes & attribute::PROTECTED != 0 {
            self.violate(at, Breach::Protected(address));
            forbidden = true;
        }
        let stall = u32::from(attributes & attribute::ROM != 0 && !forbidden);
        if attributes & attribute::PERIPHERAL != 0 {
            self.settle();
            self.deadline = 0;
            if !(forbidden && self.strict) {
                let cycle = self.cycle + u64::from(at);
                self.pending = Some(Pending { address: address & !1, value, lanes: access.write, cycle });
            }
        } else if attributes & attribute::HOLE == 0 && !forbidden {
            self.store(address, value, access.write);
            if stall != 0 {
                self.forget(address);
            }
        }
        stall
    }

    #[inline(always)]
    fn store(&mut self, address: u16, value: u16, lanes: [bool; 2]) {
        let place = &mut self.memory[usize::from(address >> 1)];
        *place = match lanes {
            [true, true] => value,
            [true, false] => *place & 0xff00 | value & 0xff,
            _ => *place & 0xff | value & 0xff00,
        };
    }

    /// Runs a Sancus instruction.
    fn command(&mut self, cpu: &mut Cpu, number: u16) -> u32 {
        self.settle();
        let mut unit = core::mem::replace(
            &mut self.unit,
            Unit::new(veritee_sancus_core::Config { slots: 0, ..Default::default() }),
        );
        let outcome = unit.execute(number, &cpu.registers, self);
        self.unit = unit;
        if let Some(result) = outcome.result {
            cpu.registers[15] = result;
        }
        if let Some(target) = outcome.jump {
            cpu.registers[0] = target & !1;
        }
        if let Some(zero) = outcome.zero {
            cpu.status = cpu.status & !alu::Z | if zero { alu::Z } else { 0 };
        }
        if let Some(guard) = outcome.guard {
            self.guard = guard;
        }
        if outcome.changed {
            self.mark();
            let own = self.owner_at(self.unit.pc);
            self.owner = if own == SEVERAL { UNSURE } else { own };
        }
        let exhausted = self.unit.is_exhausted().then_some(1);
        if let Some(at) = outcome.violation.or(exhausted) {
            self.violate(u32::try_from(at).unwrap_or(u32::MAX), Breach::Command(number));
        }
        self.deadline = 0;
        let end = self.cycle + outcome.cycles;
        self.log.add(Event::Command { cycle: self.cycle, number, result: cpu.registers[15], end });
        u32::try_from(outcome.cycles).unwrap_or(u32::MAX)
    }
}

impl Memory for Hardware {
    fn read(&mut self, address: u16, at: u64) -> u16 {
        let attributes = self.attributes_at(address);
        if attributes & attribute::PERIPHERAL != 0 {
            return self.peripherals.read(address & !1, self.cycle + at, &mut self.log);
        }
        if attributes & attribute::HOLE != 0 || self.violated { 0 } else { self.peek(address) }
    }

    fn write(&mut self, address: u16, value: u16, at: u64) {
        if self.cycle + at >= self.reset_due() {
            return;
        }
        let attributes = self.attributes_at(address);
        if attributes & attribute::PERIPHERAL != 0 {
            self.peripherals.write(address & !1, value, [true; 2], self.cycle + at, &mut self.log);
        } else if attributes & (attribute::HOLE | attribute::PROTECTED) == 0 && !self.violated {
            self.memory[usize::from(address >> 1)] = value;
            self.forget(address);
        }
    }
}

impl Bus for Hardware {
    #[inline(always)]
    fn instruction(&mut self, address: u16) -> Packed {
        let packed = self.code[usize::from(address >> 1)];
        if packed.owner() != self.owner {
            return self.start(address);
        }
        self.unit.pc = address;
        packed
    }

    #[inline(always)]
    fn read_word(&mut self, address: u16, at: u32) -> u16 {
        let place = usize::from(address >> 1);
        if self.attributes[place] & attribute::SLOW_READ != 0 {
            return self.read_slowly(address, at);
        }
        self.memory[place]
    }

    #[inline(always)]
    fn read_byte(&mut self, address: u16, at: u32) -> u8 {
        self.read_word(address, at).to_le_bytes()[usize::from(address & 1)]
    }

    #[inline(always)]
    fn write_word(&mut self, address: u16, value: u16, at: u32) -> u32 {
        let place = usize::from(address >> 1);
        if self.attributes[place] != 0 {
            return self.write_slowly(address, value, Access::write_word(address), at);
        }
        self.memory[place] = value;
        0
    }

    #[inline(always)]
    fn write_byte(&mut self, address: u16, value: u8, at: u32) -> u32 {
        let place = usize::from(address >> 1);
        let access = Access::write_byte(address);
        let value = u16::from_le_bytes([value; 2]);
        if self.attributes[place] != 0 {
            return self.write_slowly(address, value, access, at);
        }
        self.store(address, value, access.write);
        0
    }

    #[inline(always)]
    fn settled(&mut self, address: u16, value: u16, next: u16) {
        // Under the board profile the fetch is not disturbed: the word would be the first but one of whatever is entered next,
        // of a module, too.
        if address >= self.rom.start && !self.strict {
            let hidden = self.violated || self.unit.forbids(Access::read(address), false);
            if !hidden {
                self.disturbed = Some((next.wrapping_add(2), value));
                self.owner = UNSURE;
                self.deadline = 0;
            }
        }
    }

    #[inline(always)]
    fn stack_pointer(&mut self, value: u16, at: u32) {
        if value < self.guard && value != 0 {
            self.violate(at, Breach::Stack(value));
        }
    }

    fn status(&mut self, old: u16, new: u16, returning: bool) -> u16 {
        if !returning {
            self.delayed_gie = Some(old & alu::GIE != 0);
        }
        self.deadline = 0;
        if new & alu::CPUOFF != 0 {
            self.slept = self.cycle;
        }
        // The newer core's bit 15 says that the last interrupt hit a module; software cannot change it.
        new & self.status_mask | old & 0x8000
    }

    fn extension(&mut self, cpu: &mut Cpu, word: u16) -> u32 {
        self.command(cpu, word & 0xf)
    }
}

/// The hardware for an instruction that a reset cuts short: what it would write from then on is lost.
pub(crate) struct Horizon<'a> {
    pub(crate) hardware: &'a mut Hardware,
    /// The cycle in which the reset signal becomes active.
    pub(crate) horizon: u64,
}

impl Horizon<'_> {
    fn is_lost(&self, at: u32) -> bool {
        self.hardware.cycle + u64::from(at) >= self.horizon
    }
}

impl Bus for Horizon<'_> {
    fn instruction(&mut self, address: u16) -> Packed {
        self.hardware.instruction(address)
    }

    fn read_word(&mut self, address: u16, at: u32) -> u16 {
        self.hardware.read_word(address, at)
    }

    fn read_byte(&mut self, address: u16, at: u32) -> u8 {
        self.hardware.read_byte(address, at)
    }

    fn write_word(&mut self, address: u16, value: u16, at: u32) -> u32 {
        if self.is_lost(at) { 0 } else { self.hardware.write_word(address, value, at) }
    }

    fn write_byte(&mut self, address: u16, value: u8, at: u32) -> u32 {
        if self.is_lost(at) { 0 } else { self.hardware.write_byte(address, value, at) }
    }

    fn settled(&mut self, address: u16, value: u16, next: u16) {
        self.hardware.settled(address, value, next);
    }

    fn stack_pointer(&mut self, value: u16, at: u32) {
        self.hardware.stack_pointer(value, at);
    }

    fn status(&mut self, old: u16, new: u16, returning: bool) -> u16 {
        self.hardware.status(old, new, returning)
    }

    fn extension(&mut self, cpu: &mut Cpu, word: u16) -> u32 {
        self.hardware.extension(cpu, word)
    }
}

fn boxed<T: Clone>(value: T) -> Box<[T; WORDS]> {
    let Ok(array) = vec![value; WORDS].into_boxed_slice().try_into() else { unreachable!("the length is the same") };
    array
}
