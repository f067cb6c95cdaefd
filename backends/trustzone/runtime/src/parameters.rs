//! Parameters of entries and invocations.

use crate::shared::Shared;
use veritee_trustzone_format::kind;
use zeroize::Zeroize;

/// Parameters as they lie in memory, between a core and a trusted application.
///
/// # Source
/// `struct utee_params` of OP-TEE's `utee_types.h`: kinds, then two words for each of the four, for numbers or for address and
/// length.
#[repr(C)]
#[derive(Debug, Default)]
pub struct RawParameters {
    types: u64,
    words: [u64; 8],
}

impl RawParameters {
    /// The parameters of an invocation, all of them empty.
    #[must_use]
    pub fn new(types: u32) -> Self {
        Self { types: u64::from(types), words: [0; 8] }
    }

    /// Sets the numbers of a parameter.
    pub fn value(&mut self, index: usize, (a, b): (u32, u32)) {
        self.set(index, (u64::from(a), u64::from(b)));
    }

    /// The numbers that the other side gave.
    #[must_use]
    pub fn values(&self, index: usize) -> (u32, u32) {
        let word = |index| self.words.get(index).copied().and_then(|word| u32::try_from(word).ok()).unwrap_or_default();
        (word(2 * index), word(2 * index + 1))
    }

    /// Lets a parameter be memory that the other side writes.
    pub fn write(&mut self, index: usize, bytes: &mut [u8]) {
        self.set(index, (bytes.as_mut_ptr().addr() as u64, bytes.len() as u64));
    }

    /// Wipes the numbers.
    pub(crate) fn zeroize(&mut self) {
        self.words.zeroize();
    }

    fn set(&mut self, index: usize, (first, second): (u64, u64)) {
        if let Some([one, two]) = self.words.get_mut(2 * index..).and_then(|words| words.first_chunk_mut()) {
            (*one, *two) = (first, second);
        }
    }
}

/// The parameters of an entry.
///
/// The words were copied by the core and are this application's; the memory that they name is not.
#[derive(Debug)]
pub struct Parameters<'a> {
    raw: &'a mut RawParameters,
}

impl<'a> Parameters<'a> {
    /// Takes over what the core handed in.
    ///
    /// # Safety
    /// The memory parameters name memory as [`Shared::claim`] wants it, as long as the value lives: the core checked and
    /// mapped it.
    pub const unsafe fn new(raw: &'a mut RawParameters) -> Self {
        Self { raw }
    }

    /// Whether the parameters are of exactly these kinds. Must be asked before anything else.
    #[must_use]
    pub fn are(&self, types: u32) -> bool {
        self.raw.types == u64::from(types)
    }

    fn kind(&self, index: usize) -> u32 {
        (self.raw.types >> (4 * index) & 15) as u32
    }

    /// The first number of a value parameter; 0 for another kind.
    #[must_use]
    pub fn number(&self, index: usize) -> u32 {
        let is = self.kind(index) == kind::VALUE_IN;
        let word = self.raw.words.get(2 * index).copied().unwrap_or_default();
        u32::try_from(word).ok().filter(|_| is).unwrap_or_default()
    }

    /// The memory of a memory parameter; empty for another kind.
    #[must_use]
    pub fn memory(&self, index: usize) -> Shared {
        let is = matches!(self.kind(index), kind::MEMORY_IN | kind::MEMORY_OUT);
        let words = self.raw.words.get(2 * index..).and_then(|words| words.first_chunk().copied());
        let [start, length] = words.filter(|_| is).unwrap_or_default();
        let word = |word: u64| usize::try_from(word).unwrap_or_default();
        // An address without memory behind it has no length.
        let length = if start == 0 { 0 } else { word(length) };
        // SAFETY: the duty of `new`.
        unsafe { Shared::claim(core::ptr::with_exposed_provenance_mut(word(start)), length) }
    }

    /// Gives numbers back.
    pub fn answer(&mut self, index: usize, value: (u32, u32)) {
        self.raw.value(index, value);
    }

    /// Says how much of a memory parameter was written.
    pub fn wrote(&mut self, index: usize, length: usize) {
        if let Some(word) = self.raw.words.get_mut(2 * index + 1) {
            *word = length as u64;
        }
    }
}
