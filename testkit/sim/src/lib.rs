//! Whole deployments from one seed, against a hostile event manager and network.
//!
//! [`world`] holds modules, connections and everything that was ever emitted; [`attacker`] chooses what happens next;
//! [`owner`] gives keys, may crash between any two steps and starts over; [`oracle`] holds every step against an executable
//! version of the paper's semantics. The same seed gives the same run.
//!
//! What the oracle checks after every step:
//!
//! 1. What a module accepted was emitted by the other end of the connection, bit for bit, in this epoch.
//! 2. Per connection, epoch and direction it is a gapless prefix, in order, each event once.
//! 3. What a module emitted is what its source emits on the inputs that it accepted, handlers one after the other.
//! 4. No key and counter occur together twice.

pub mod attacker;
pub mod oracle;
pub mod owner;
pub mod world;

pub use oracle::Oracle;
pub use world::World;

/// A deterministic source of choices (SplitMix64, Steele et al. 2014).
#[derive(Clone, Debug)]
pub struct Choices(u64);

impl Choices {
    /// The choices of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap_or(1);
        usize::try_from(self.number() % end).unwrap_or(0)
    }

    /// Bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.number().to_le_bytes()[..chunk.len()]);
        }
        bytes
    }
}

/// What happened in a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Frames that modules emitted.
    pub emitted: u64,
    /// Frames that modules accepted.
    pub accepted: u64,
    /// Frames that modules did not accept.
    pub repelled: u64,
    /// Restarts of modules.
    pub restarts: u64,
    /// Epochs that were opened.
    pub epochs: u64,
    /// Crashes of the owner's tool.
    pub crashes: u64,
}

/// Runs `steps` steps of the world of `seed`.
///
/// # Panics
/// When the guarantee is broken: the message names the seed and the step.
#[must_use]
pub fn run(seed: u64, steps: usize) -> Summary {
    let mut world = World::new(seed);
    for step in 0..steps {
        attacker::step(&mut world);
        if let Some(broken) = world.oracle.broken() {
            panic!("seed {seed}, step {step}: {broken}");
        }
    }
    world.summary
}
