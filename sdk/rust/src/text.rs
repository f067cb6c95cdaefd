//! Text that is put together at compile time.

use veritee_ids::TypeHash;

/// Longest canonical layout in bytes of text.
const TEXT_BYTES_MAX: usize = 1024;
const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;
const HASH_PRIME: u64 = 0x0100_0000_01b3;

/// The canonical layout of a payload type, as text. Exists at compile time only, unless a program asks for it.
#[derive(Clone, Copy)]
pub struct Text {
    bytes: [u8; TEXT_BYTES_MAX],
    length: usize,
}

impl core::fmt::Debug for Text {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Text {
    /// Starts with `text`.
    ///
    /// # Panics
    /// At compile time, when the text is too long; the same holds for all that add to it.
    #[must_use]
    pub const fn new(text: &str) -> Self {
        Self { bytes: [0; TEXT_BYTES_MAX], length: 0 }.and(text)
    }

    /// Adds `text`.
    #[must_use]
    pub(crate) const fn and(mut self, text: &str) -> Self {
        let mut index = 0;
        while index < text.len() {
            assert!(self.length < TEXT_BYTES_MAX, "the layout of this payload type is too long; use fewer fields");
            self.bytes[self.length] = text.as_bytes()[index];
            self.length += 1;
            index += 1;
        }
        self
    }

    /// Adds a number, in decimal.
    #[must_use]
    pub(crate) const fn number(self, number: usize) -> Self {
        const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        let front = if number < 10 { self } else { self.number(number / 10) };
        front.and(DIGITS[number % 10])
    }

    /// Adds a field and its layout, separated from a field before.
    #[must_use]
    pub const fn field(self, name: &str, layout: &Self) -> Self {
        let front = if self.bytes[self.length - 1] == b'{' { self } else { self.and(",") };
        front.and(name).and(":").and(layout.as_str())
    }

    /// Ends the list of fields.
    #[must_use]
    pub const fn end(self) -> Self {
        self.and("}")
    }

    /// The text.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        match core::str::from_utf8(self.bytes.split_at(self.length).0) {
            Ok(text) => text,
            Err(_) => "",
        }
    }

    /// FNV-1a, 64 bits.
    #[must_use]
    pub(crate) const fn hash(&self) -> TypeHash {
        let mut hash = HASH_START;
        let mut index = 0;
        while index < self.length {
            hash = (hash ^ self.bytes[index] as u64).wrapping_mul(HASH_PRIME);
            index += 1;
        }
        TypeHash(hash.to_le_bytes())
    }
}
