//! The freshness device of the board profile: values that were never given before.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The kind of a source, as FRCTL and the wire have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FreshnessKind {
    /// Random numbers.
    Random,
    /// A counter in persistent memory.
    Counter,
}

impl FreshnessKind {
    /// Its code.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Random => 1,
            Self::Counter => 2,
        }
    }
}

/// Where values come from.
///
/// An implementation must not give one value twice in the life of a board. A counter reserves a block of values in
/// persistent memory *before* it gives the first of them.
pub trait FreshnessSource: Send {
    /// Its kind; never changes.
    fn kind(&self) -> FreshnessKind;
    /// The next value.
    fn draw(&mut self) -> u128;
}

/// A counter that begins at one with each board: for tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VolatileCounter(u64);

impl FreshnessSource for VolatileCounter {
    fn kind(&self) -> FreshnessKind {
        FreshnessKind::Counter
    }

    fn draw(&mut self) -> u128 {
        self.0 += 1;
        self.0.into()
    }
}

/// A counter that outlives boards, of those that are one board to everybody outside: for tests.
#[derive(Clone, Copy, Debug)]
pub struct SharedCounter(pub &'static AtomicU64);

impl FreshnessSource for SharedCounter {
    fn kind(&self) -> FreshnessKind {
        FreshnessKind::Counter
    }

    fn draw(&mut self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1
    }
}

/// The device: a source, and what it last gave.
#[derive(Clone)]
pub(crate) struct Freshness {
    source: Arc<Mutex<dyn FreshnessSource>>,
    value: u128,
}

impl fmt::Debug for Freshness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Freshness").field("value", &self.value).finish_non_exhaustive()
    }
}

impl Freshness {
    pub(crate) fn new(source: impl FreshnessSource + 'static) -> Self {
        Self { source: Arc::new(Mutex::new(source)), value: 0 }
    }

    pub(crate) const fn reset(&mut self) {
        self.value = 0;
    }

    pub(crate) fn kind(&self) -> FreshnessKind {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).kind()
    }

    /// Draws a value.
    pub(crate) fn draw(&mut self) {
        self.value = self.source.lock().unwrap_or_else(PoisonError::into_inner).draw();
    }

    /// Register FRV0 to FRV7.
    pub(crate) fn word(&self, number: u16) -> u16 {
        let bytes = self.value.to_le_bytes();
        let at = usize::from(number & 7) * 2;
        u16::from_le_bytes([bytes[at], bytes[at + 1]])
    }
}
