//! The slots of modules, and the rights that they give.

use crate::{Config, Generation, Key};

/// A half-open range of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Range {
    /// The first address.
    pub start: u16,
    /// The first address behind it.
    pub end: u16,
}

impl Range {
    /// Is an address inside?
    #[inline]
    #[must_use]
    pub const fn contains(self, address: u16) -> bool {
        address >= self.start && address < self.end
    }

    /// Do two ranges share an address?
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Bytes.
    #[must_use]
    pub const fn len(self) -> u16 {
        self.end.saturating_sub(self.start)
    }

    /// Has it no address?
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// A module that is protected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// Its id; never given twice between two resets.
    pub id: u16,
    /// Text section.
    pub text: Range,
    /// Secret section.
    pub secret: Range,
    /// Its key.
    pub key: Key,
}

/// An access to memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// The address on the bus, bit 0 included.
    pub address: u16,
    /// A write, of the low and the high byte.
    pub write: [bool; 2],
}

impl Access {
    /// A read.
    #[must_use]
    pub const fn read(address: u16) -> Self {
        Self { address, write: [false; 2] }
    }

    /// A write of a word.
    #[must_use]
    pub const fn write_word(address: u16) -> Self {
        Self { address, write: [true; 2] }
    }

    /// A write of a byte.
    #[must_use]
    pub const fn write_byte(address: u16) -> Self {
        let odd = address & 1 == 1;
        Self { address, write: [!odd, odd] }
    }
}

/// What starting an instruction means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// It lies in a module which was not entered at its first address.
    pub violation: bool,
    /// The current id changed.
    pub changed: bool,
}

/// The protection unit.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Which core.
    pub config: Config,
    /// The slots.
    pub slots: Vec<Option<Slot>>,
    /// The id that the next module gets.
    pub next_id: u16,
    /// Id of the module whose code runs; 0 outside modules; `0xFFF0 + n` while interrupt `n` is taken.
    pub current: u16,
    /// The current id before it last changed.
    pub previous: u16,
    /// Address of the current instruction.
    pub pc: u16,
}

impl Unit {
    /// A unit after reset.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let slots = vec![None; config.slots];
        Self { config, slots, next_id: 1, current: 0xffff, previous: 0, pc: 0 }
    }

    /// Forgets all modules.
    pub fn reset(&mut self) {
        *self = Self::new(self.config.clone());
    }

    /// The modules.
    pub fn modules(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().flatten()
    }

    /// Were all ids given? From then on every cycle breaks a rule.
    #[must_use]
    pub const fn is_exhausted(&self) -> bool {
        self.next_id == 0xfff0
    }

    /// Is it the older core?
    #[must_use]
    pub fn is_legacy(&self) -> bool {
        self.config.generation == Generation::Legacy
    }

    /// The id of the module whose text has an address; 0 if there is none.
    #[must_use]
    pub fn id_at(&self, address: u16) -> u16 {
        self.module_at(address).map_or(0, |slot| slot.id)
    }

    /// The module whose text has an address; with several, the one in the last slot.
    #[must_use]
    pub fn module_at(&self, address: u16) -> Option<&Slot> {
        self.slots.iter().rev().flatten().find(|slot| slot.text.contains(address))
    }

    /// Does an access by the current instruction break a rule? `exempt`: enable, disable and verify may access texts.
    #[must_use]
    pub fn forbids(&self, access: Access, exempt: bool) -> bool {
        self.modules().any(|slot| self.forbids_for(slot, access, exempt))
    }

    fn forbids_for(&self, slot: &Slot, access: Access, exempt: bool) -> bool {
        let inside = slot.text.contains(self.pc);
        // The hardware looks at the write enable of the low byte only.
        let reads_own = inside && !access.write[0];
        let text = slot.text.contains(access.address) && !reads_own && !exempt;
        text || slot.secret.contains(access.address) && !inside
    }

    /// Starts the instruction at an address.
    pub fn start(&mut self, pc: u16) -> Entry {
        let before = self.pc;
        self.pc = pc;
        let wrong = |slot: &Slot| slot.text.contains(pc) && !slot.text.contains(before) && slot.text.start != pc;
        let violation = self.modules().any(wrong);
        let changed = self.enter(self.id_at(pc));
        Entry { violation, changed }
    }

    /// The current id becomes `id`. Gives whether that is a change.
    pub fn enter(&mut self, id: u16) -> bool {
        let changed = id != self.current;
        if changed {
            self.previous = self.current;
            self.current = id;
        }
        changed
    }
}
