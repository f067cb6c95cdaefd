//! Which core it is.

use crate::Range;

/// A generation of the core.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Generation {
    /// Before the interruptible modules with saved state areas (2021).
    #[default]
    Legacy,
    /// The current one.
    Master,
}

/// Strength of keys, tags and the permutation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Security {
    /// Keys of 8 bytes.
    Bits64,
    /// Keys of 16 bytes.
    #[default]
    Bits128,
}

impl Security {
    /// Words of a key or tag.
    #[must_use]
    pub const fn words(self) -> u16 {
        match self {
            Self::Bits64 => 4,
            Self::Bits128 => 8,
        }
    }
}

/// Parameters of a core.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The generation.
    pub generation: Generation,
    /// The strength.
    pub security: Security,
    /// Slots for modules.
    pub slots: usize,
    /// The node key; with 64 bits the first eight bytes.
    pub node_key: [u8; 16],
    /// The rules of the board profile, for this memory map.
    pub profile: Option<MemoryMap>,
}

/// Where memory is, for the rules of the board profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryMap {
    /// RAM.
    pub ram: Range,
    /// Program memory: from here to the end of the address space.
    pub rom_start: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self { generation: Generation::Legacy, security: Security::Bits128, slots: 8, node_key: [0; 16], profile: None }
    }
}
