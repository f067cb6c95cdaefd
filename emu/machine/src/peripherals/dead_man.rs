//! The dead-man output of the board profile: pins that hold a value only as long as somebody keeps saying so.

/// Cycles of a unit of DMTIME.
const UNIT: u64 = 8192;

/// The device.
#[derive(Clone, Debug)]
pub(crate) struct DeadMan {
    /// What is on the pins.
    pub(crate) pins: u8,
    safe: u8,
    units: u16,
    /// The cycle in which the pins fall to the safe value.
    falls: Option<u64>,
}

impl DeadMan {
    pub(crate) const fn new(safe: u8) -> Self {
        Self { pins: safe, safe, units: 0, falls: None }
    }

    /// The reset signal.
    pub(crate) const fn reset(&mut self) {
        *self = Self::new(self.safe);
    }

    /// Brings the device to a cycle; gives the cycle in which the pins changed.
    pub(crate) fn advance(&mut self, cycle: u64) -> Option<u64> {
        let fell = self.falls.filter(|falls| *falls <= cycle)?;
        self.falls = None;
        let changed = self.pins != self.safe;
        self.pins = self.safe;
        changed.then_some(fell)
    }

    /// Registers 0 DMOUT, 1 DMSAFE, 2 DMTIME, 3 DMSTAT.
    pub(crate) fn read(&self, register: u16) -> u16 {
        match register {
            0 => self.pins.into(),
            1 => self.safe.into(),
            2 => self.units,
            _ => self.falls.is_none().into(),
        }
    }

    /// Writes a register; the effect is visible in `cycle`.
    pub(crate) fn write(&mut self, register: u16, value: u16, cycle: u64) {
        match register {
            0 if self.units == 0 => {
                self.pins = self.safe;
                self.falls = None;
            }
            0 => {
                self.pins = value.to_le_bytes()[0];
                self.falls = Some(cycle + u64::from(self.units) * UNIT);
            }
            2 => self.units = value,
            _ => {}
        }
    }

    pub(crate) fn next_event(&self) -> u64 {
        self.falls.unwrap_or(u64::MAX)
    }
}
