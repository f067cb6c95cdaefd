//! What a router is told by its daemon: limits and routes.

use crate::index::ModuleIndex;

/// Limits of a router. Bytes count frames with their bookkeeping; times are microseconds.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Frames that one module emitted and that have no verdict yet. Beyond, the module is not entered.
    pub module_bytes_max: u64,
    /// The same for all modules of an owner.
    pub owner_bytes_max: u64,
    /// Frames that arrived for an owner's modules and wait for them. Beyond, senders are told `busy`.
    pub owner_arrived_bytes_max: u64,
    /// Frames of an owner that are on disk. Beyond, his modules are not entered.
    pub owner_stored_bytes_max: u64,
    /// Frames of one lane that are on a link without verdict.
    pub window_bytes: u64,
    /// Calls of an owner that wait for one module.
    pub calls_max: usize,
    /// How long verdicts may wait for company before they go out.
    pub verdict_delay: u64,
    /// How long a frame may go without verdict before it is written to disk.
    pub store_delay: u64,
    /// Frames leave only once they are durable.
    pub wait_for_disk: bool,
    /// Shortest and longest pause between two attempts to dial a node.
    pub dial_pause: (u64, u64),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            module_bytes_max: 32 << 20,
            owner_bytes_max: 256 << 20,
            owner_arrived_bytes_max: 256 << 20,
            owner_stored_bytes_max: 1 << 30,
            window_bytes: 1 << 20,
            calls_max: 4096,
            verdict_delay: 1_000,
            store_delay: 2_000,
            wait_for_disk: false,
            dial_pause: (20_000, 2_000_000),
        }
    }
}

/// Where the other end of a connection is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Remote {
    /// In a module of this node.
    Here(ModuleIndex),
    /// On another node.
    Node {
        /// Its identity.
        identity: [u8; 32],
        /// Where to dial it; empty when it dials.
        address: String,
    },
    /// The owner.
    Owner,
}

/// The source's half of a route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteOut {
    /// The emitting module.
    pub source: ModuleIndex,
    /// Row of its table, where replies enter.
    pub source_row: u16,
    /// Where the frames go.
    pub target: Remote,
}

/// The target's half of a route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteIn {
    /// The accepting module.
    pub target: ModuleIndex,
    /// Row of its table.
    pub target_row: u16,
    /// Where the frames come from.
    pub source: Remote,
    /// Enter `late` when nothing was accepted for so many microseconds; 0 for never.
    pub deadline: u64,
    /// The port whose `late` it is.
    pub port: u16,
}
