//! A module with its addresses: the value that the hardware measures. Needs no tools.

/// A function or variable of a linked module, for traces.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Symbol {
    /// Its address.
    pub address: u16,
    /// Its name.
    pub name: String,
}

/// A module, linked at its addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Linked {
    /// Address of the text section, even.
    pub text_address: u16,
    /// The text section; its length is even.
    pub text: Vec<u8>,
    /// Address of the secret section, even.
    pub secret_address: u16,
    /// Length of the secret section in bytes, even. It begins as zero.
    pub secret_bytes: u16,
    /// Functions and variables, by address.
    pub symbols: Vec<Symbol>,
}

impl Linked {
    /// The bytes that the hardware measures, see [`identity`].
    #[must_use]
    pub fn identity(&self) -> Vec<u8> {
        identity(self.text_address, &self.text, self.secret_address, self.secret_bytes)
    }

    /// The address of a symbol.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<u16> {
        self.symbols.iter().find(|symbol| symbol.name == name).map(|symbol| symbol.address)
    }

    /// The first address behind the text section.
    ///
    /// # Panics
    /// When the section does not end below the end of memory: [`Relocatable::place`](crate::Relocatable::place) makes none
    /// such.
    #[must_use]
    pub fn text_end(&self) -> u16 {
        let length = u16::try_from(self.text.len()).expect("a text section is shorter than memory");
        self.text_address.checked_add(length).expect("a text section ends below the end of memory")
    }

    /// The first address behind the secret section.
    #[must_use]
    pub const fn secret_end(&self) -> u16 {
        self.secret_address.wrapping_add(self.secret_bytes)
    }
}

/// The bytes that the hardware measures: the text section, then the bounds of text and secret section. The module key is
/// their MAC under the vendor key, the measurement their MAC under the zero key.
///
/// # Source
/// Sancus 2.0 (Noorman et al., TOPS 2017), section 3.2; the order of the bounds as in the published core.
#[must_use]
pub fn identity(text_address: u16, text: &[u8], secret_address: u16, secret_bytes: u16) -> Vec<u8> {
    let text_end = usize::from(text_address) + text.len();
    let secret_end = usize::from(secret_address) + usize::from(secret_bytes);
    let mut bytes = text.to_vec();
    for bound in [usize::from(text_address), text_end, usize::from(secret_address), secret_end] {
        // The hardware's registers have 16 bits.
        bytes.extend_from_slice(&bound.to_le_bytes()[..2]);
    }
    bytes
}
