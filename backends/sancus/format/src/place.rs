//! Memory on a board: asked for, and given.

use crate::FormatError;
use crate::bytes::{Reader, begin, put_name, put_u16};

/// How much memory a module needs (`VSND`, version, then both numbers, u16).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Need {
    /// Length of its text section in bytes.
    pub text_bytes: u16,
    /// Length of its secret section in bytes.
    pub secret_bytes: u16,
}

/// Where a module is to be (`VSPL`, version, addresses and lengths as u16 in the order of the fields, the board's name behind
/// its length).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placed {
    /// Address of the text section, even.
    pub text_address: u16,
    /// Bytes reserved there, at least as many as were asked for.
    pub text_bytes: u16,
    /// Address of the secret section, even.
    pub secret_address: u16,
    /// Bytes reserved there, at least as many as were asked for.
    pub secret_bytes: u16,
    /// The board's name, as the node calls it.
    pub board: String,
}

impl Need {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = begin(NEED);
        put_u16(&mut bytes, self.text_bytes);
        put_u16(&mut bytes, self.secret_bytes);
        bytes
    }

    /// Reads a need.
    ///
    /// # Errors
    /// [`FormatError`], as said there.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::open(bytes, NEED, "a need of memory on a Sancus board")?;
        let need = Self { text_bytes: reader.u16("text length")?, secret_bytes: reader.u16("secret length")? };
        reader.end()?;
        Ok(need)
    }
}

impl Placed {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = begin(PLACED);
        for number in [self.text_address, self.text_bytes, self.secret_address, self.secret_bytes] {
            put_u16(&mut bytes, number);
        }
        put_name(&mut bytes, &self.board);
        bytes
    }

    /// Reads a place.
    ///
    /// # Errors
    /// [`FormatError`], as said there.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::open(bytes, PLACED, "a place on a Sancus board")?;
        let placed = Self {
            text_address: reader.u16("text address")?,
            text_bytes: reader.u16("text length")?,
            secret_address: reader.u16("secret address")?,
            secret_bytes: reader.u16("secret length")?,
            board: reader.name("board")?,
        };
        reader.end()?;
        Ok(placed)
    }
}

const NEED: [u8; 4] = *b"VSND";
const PLACED: [u8; 4] = *b"VSPL";
