//! The rules of the board profile for new modules.

use crate::config::MemoryMap;
use crate::unit::{Range, Unit};

/// Peripherals lie below this address.
const PERIPHERALS: Range = Range { start: 0, end: 0x200 };

impl Range {
    const fn is_even(self) -> bool {
        self.start & 1 == 0 && self.end & 1 == 0
    }

    const fn is_inside(self, other: Self) -> bool {
        self.start >= other.start && self.end <= other.end && self.start <= self.end
    }
}

impl Unit {
    /// May a module with these sections be enabled?
    ///
    /// A text that is not empty, even, inside program memory; a secret section that is even and wholly inside RAM or wholly
    /// inside the peripherals; no overlap among all sections, old and new; a free slot.
    pub(crate) fn admits(&self, map: MemoryMap, text: Range, secret: Range) -> bool {
        let shape = !text.is_empty() && text.is_even() && text.start >= map.rom_start && secret.is_even();
        let place = secret.is_inside(map.ram) || secret.is_inside(PERIPHERALS);
        let apart = !text.overlaps(secret)
            && self.modules().all(|slot| {
                let others = [slot.text, slot.secret];
                others.iter().all(|other| !other.overlaps(text) && !other.overlaps(secret))
            });
        shape && place && apart && self.slots.iter().any(Option::is_none)
    }
}
