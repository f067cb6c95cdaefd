//! Parameters of entries and invocations.

use crate::shared::Shared;
use veritee_trustzone_format::kind;
use zeroize::Zeroize;

/// Four parameters as they lie in memory, between a core and a trusted application.
///
/// The words of an entry were copied by the core and are this application's; the memory that they name is not. Parameters that this
/// application makes itself name no memory.
///
/// # Source
/// `struct utee_params` of OP-TEE's `utee_types.h`: kinds, then two words for each of the four, for numbers or for address and
/// length.
#[repr(C)]
#[derive(Debug)]
pub struct Parameters {
    types: u64,
    words: [[u64; 2]; 4],
}

impl Parameters {
    /// Parameters of these kinds with zeros in them.
    #[must_use]
    pub fn new(types: u32) -> Self {
        Self { types: types.into(), words: [[0; 2]; 4] }
    }

    /// Whether the parameters are of exactly these kinds. Must be asked before anything else.
    #[must_use]
    pub fn are(&self, types: u32) -> bool {
        self.types == u64::from(types)
    }

    /// The words of a parameter, if it is of this kind.
    fn words(&mut self, index: usize, kind: u32) -> Option<&mut [u64; 2]> {
        let is = self.types >> (4 * index) & 15 == u64::from(kind);
        self.words.get_mut(index).filter(|_| is)
    }

    /// The numbers of a parameter of this kind; zeros for another one.
    pub fn numbers(&mut self, index: usize, kind: u32) -> [u32; 2] {
        let words = self.words(index, kind).copied().unwrap_or_default();
        words.map(|word| u32::try_from(word).unwrap_or_default())
    }

    /// Sets the numbers of a parameter of this kind, if it has numbers; one of another kind stays as it is.
    pub fn set(&mut self, index: usize, kind: u32, numbers: [u32; 2]) {
        if let Some(words) = self.words(index, kind).filter(|_| matches!(kind, kind::VALUE_IN | kind::VALUE_OUT)) {
            *words = numbers.map(u64::from);
        }
    }

    /// The memory of a parameter of this kind; empty for another one.
    pub fn memory(&mut self, index: usize, kind: u32) -> Shared {
        let memory = matches!(kind, kind::MEMORY_IN | kind::MEMORY_OUT);
        let words = self.words(index, kind).filter(|[start, _]| memory && *start != 0).copied().unwrap_or_default();
        let [start, length] = words.map(|word| usize::try_from(word).unwrap_or_default());
        // SAFETY: only `enter` has parameters of these kinds with words in them: the core checked and mapped what they name.
        unsafe { Shared::claim(core::ptr::with_exposed_provenance_mut(start), length) }
    }

    /// Says how much of a parameter's memory was written.
    pub fn wrote(&mut self, index: usize, length: usize) {
        if let Some([_, whole]) = self.words(index, kind::MEMORY_OUT) {
            *whole = (*whole).min(length as u64);
        }
    }

    /// Wipes what the other side gave.
    pub fn zeroize(&mut self) {
        self.words.zeroize();
    }
}
