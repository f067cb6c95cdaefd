//! Where things are inside an enclave: one measured page in front of the thread's control structure.
//!
//! The entry code reads it at `TCS - 4096`; the builder writes it; nobody else has a say, because it is measured. Words are
//! u64, little-endian, offsets count from the enclave's base:
//!
//! | word | field |
//! |---|---|
//! | 0 | magic and version |
//! | 1 | length of the enclave's range, a power of two |
//! | 2 | the thread's control structure (TCS) |
//! | 3 | end of the stack |
//! | 4, 5 | relocations: offset, count |
//! | 6, 7 | room for calls: offset, length |
//! | 8, 9 | room for outputs: offset, length |
//! | 10, 11 | port table: offset, length |

use crate::{FormatError, PAGE};

/// Word 0.
pub const MAGIC: u64 = u64::from_le_bytes(*b"VTSGXL01");
const WORDS: usize = 12;

/// The layout page, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EnclaveLayout {
    /// Length of the enclave's range.
    pub size: u64,
    /// The thread's control structure.
    pub tcs: u64,
    /// End of the stack.
    pub stack_end: u64,
    /// RELATIVE relocations: offset and count.
    pub relocations: (u64, u64),
    /// Room for calls: offset and length.
    pub calls: (u64, u64),
    /// Room for outputs: offset and length.
    pub outputs: (u64, u64),
    /// The port table: offset and length.
    pub ports: (u64, u64),
}

impl EnclaveLayout {
    /// The page's bytes.
    #[must_use]
    pub fn page(&self) -> [u8; PAGE] {
        let pairs = [self.relocations, self.calls, self.outputs, self.ports];
        let words = [MAGIC, self.size, self.tcs, self.stack_end].into_iter();
        let mut page = [0; PAGE];
        for (place, word) in page.chunks_exact_mut(8).zip(words.chain(pairs.into_iter().flat_map(<[u64; 2]>::from))) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        page
    }

    /// Reads a page.
    ///
    /// # Errors
    /// [`FormatError::Pages`] when it is no layout page of this version.
    pub fn read(page: &[u8; PAGE]) -> Result<Self, FormatError> {
        let mut words = page.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
        let mut found = [0; WORDS];
        found.iter_mut().zip(&mut words).for_each(|(place, word)| *place = word);
        let [magic, size, tcs, stack_end, a, b, c, d, e, f, g, h] = found;
        if magic != MAGIC || words.any(|word| word != 0) {
            return Err(FormatError::Pages("the page in front of the TCS says no layout of this version"));
        }
        Ok(Self { size, tcs, stack_end, relocations: (a, b), calls: (c, d), outputs: (e, f), ports: (g, h) })
    }
}
