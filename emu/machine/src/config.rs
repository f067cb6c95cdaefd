//! What kind of board it is.

use crate::freshness::FreshnessKind;
pub use veritee_sancus_core::{Generation, Security};

/// Rules beyond those of the published core.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Profile {
    /// The published core.
    #[default]
    Bare,
    /// The board profile.
    Veritee,
}

/// Parameters of a board.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Generation of the core.
    pub generation: Generation,
    /// Strength.
    pub security: Security,
    /// Slots for modules.
    pub slots: usize,
    /// Node key.
    pub node_key: [u8; 16],
    /// Bytes of RAM, from `0x0200` on.
    pub ram: u16,
    /// Bytes of program memory, up to `0xFFFF`.
    pub rom: u16,
    /// The rules.
    pub profile: Profile,
    /// A violation resets at once instead of causing interrupt 13. With the board profile it always does.
    pub reset_on_violation: bool,
    /// The safe value of the dead-man output, a strap on the board. Only with the board profile.
    pub dead_man_safe: u8,
}

impl Config {
    /// The node key of this kind of board, simulated, whose board secret is given.
    ///
    /// A board of 64 bits uses the first eight bytes.
    ///
    /// # Source
    /// `docs/board-profile.md`, "Node keys".
    #[must_use]
    pub fn node_key_of(&self, secret: &[u8; 16], freshness: FreshnessKind) -> [u8; 16] {
        let profile = u16::from(self.profile == Profile::Veritee);
        let core = match self.generation {
            Generation::Legacy => 1,
            Generation::Master => 2,
        };
        let security = match self.security {
            Security::Bits64 => 64,
            Security::Bits128 => 128,
        };
        let source = if profile == 1 { freshness.code() } else { 4 };
        veritee_sancus_core::board_key(secret, [12, 1, profile, core, security, source, 1, 0])
    }
}

impl Default for Config {
    /// The board of the published images: 128 bits, 16 KiB of RAM, 41 KiB of program memory, legacy core.
    fn default() -> Self {
        Self {
            generation: Generation::Legacy,
            security: Security::Bits128,
            slots: 8,
            node_key: 0xdead_beef_cafe_babe_c0de_feed_defe_c8ed_u128.to_be_bytes(),
            ram: 16 * 1024,
            rom: 41 * 1024,
            profile: Profile::Bare,
            reset_on_violation: false,
            dead_man_safe: 0,
        }
    }
}
