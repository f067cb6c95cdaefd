//! SpongeWrap as the hardware does it, block by block, and the keys made with it.

use crate::Security;
use veritee_spongent::{Spongent128, permutation::State};
use veritee_spongent64::Spongent64;

/// A key or tag; with 64 bits only the first eight bytes count.
pub type Key = [u8; 16];

/// The sponge between two calls.
#[expect(missing_debug_implementations, reason = "it is secret")]
pub enum Sponge {
    /// With 176 bits of state.
    Small(State<Spongent64>),
    /// With 336 bits of state.
    Large(State<Spongent128>),
}

impl Sponge {
    /// An empty sponge.
    #[must_use]
    pub fn new(security: Security) -> Self {
        match security {
            Security::Bits64 => Self::Small(State::default()),
            Security::Bits128 => Self::Large(State::default()),
        }
    }

    fn duplex(&mut self, input: u32) -> u16 {
        match self {
            Self::Small(state) => state.duplex(input),
            Self::Large(state) => state.duplex(input),
        }
    }

    /// Absorbs a word with its frame bit; gives the output.
    pub fn word(&mut self, word: u16, frame: bool) -> u16 {
        self.duplex(u32::from(word) | (u32::from(frame) | 2) << 16)
    }

    /// Absorbs an empty block.
    pub fn empty(&mut self, frame: bool) -> u16 {
        self.duplex(u32::from(frame) | 2)
    }

    /// The next output without input.
    pub fn blank(&mut self) -> u16 {
        self.duplex(1)
    }

    /// Absorbs a key. The cycles that this takes do not depend on it.
    pub fn key(&mut self, security: Security, key: &Key) {
        let words = security.words();
        for (number, pair) in (1..=words).zip(key.chunks_exact(2)) {
            self.word(u16::from_le_bytes([pair[0], pair[1]]), number < words);
        }
    }

    /// The tag, of which `first` was the output of the last call.
    #[must_use]
    pub fn tag(&mut self, security: Security, first: u16) -> Key {
        let mut tag = [0; 16];
        for (number, place) in tag.chunks_exact_mut(2).take(security.words().into()).enumerate() {
            let word = if number == 0 { first } else { self.blank() };
            place.copy_from_slice(&word.to_le_bytes());
        }
        tag
    }
}

/// The MAC of a message of whole words, which is not empty.
#[must_use]
pub fn mac(security: Security, key: &Key, words: &[u16]) -> Key {
    let mut sponge = Sponge::new(security);
    sponge.key(security, key);
    for (number, word) in (1..).zip(words) {
        sponge.word(*word, number == words.len());
    }
    let first = sponge.empty(false);
    sponge.tag(security, first)
}

/// The key of a vendor under a node key.
#[must_use]
pub fn derive_key(security: Security, node_key: &Key, vendor: u16) -> Key {
    mac(security, node_key, &[vendor])
}

/// The node key of a board: `MAC(secret, words)` with SPONGENT-128. The words are those of the board profile.
#[must_use]
pub fn board_key(secret: &Key, words: [u16; 8]) -> Key {
    mac(Security::Bits128, secret, &words)
}
