//! What is loaded: a linked module, or the name of a driver that the board has already.

use crate::FormatError;
use crate::bytes::{Reader, begin, put_name, put_u16};

/// What a load brings to a board.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Image {
    /// An owner's module.
    Module(ModuleImage),
    /// A driver that stage 0 enabled: it is taken over, not loaded.
    BuiltIn(BuiltIn),
}

/// A module, linked at the addresses that were reserved for it.
///
/// | offset | length | field |
/// |---|---|---|
/// | 0 | 4 | `VSIM` |
/// | 4 | 2 | version |
/// | 6 | 2 | kind: 1 |
/// | 8 | 2 | vendor id |
/// | 10 | 2 | address of the text section |
/// | 12 | 2 | length of the text section in bytes, even, not 0 |
/// | 14 | 2 | address of the secret section, even |
/// | 16 | 2 | length of the secret section in bytes, even |
/// | 18 | 2 | room: bytes of its largest output, even, at least 20 |
/// | 20 | 2 | poll: every how many ticks of 10 ms it is polled; 0 for never |
/// | 22 | | the text section |
///
/// A section ends at or below `0x10000`. Room and poll are not measured: they only move when the module is entered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModuleImage {
    /// Vendor id, of this owner on the board.
    pub vendor: u16,
    /// Address of the text section.
    pub text_address: u16,
    /// The text section.
    pub text: Vec<u8>,
    /// Address of the secret section.
    pub secret_address: u16,
    /// Length of the secret section in bytes.
    pub secret_bytes: u16,
    /// Bytes of its largest output: it is entered only when the board has so much room for outputs.
    pub room: u16,
    /// Every how many ticks of 10 ms it is polled for what its interrupts left; 0 for never.
    pub poll: u16,
}

/// A driver of the board's own.
///
/// | offset | length | field |
/// |---|---|---|
/// | 0 | 4 | `VSIM` |
/// | 4 | 2 | version |
/// | 6 | 2 | kind: 2 |
/// | 8 | 1 + n | the board's name, behind its length |
/// | | 1 + n | the driver's name, behind its length |
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuiltIn {
    /// The board's name, as the node calls it.
    pub board: String,
    /// The driver's name, as the board calls it.
    pub driver: String,
}

impl Image {
    /// The image's bytes.
    ///
    /// # Panics
    /// When a text section is longer than 65,535 bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = begin(MAGIC);
        match self {
            Self::Module(module) => {
                put_u16(&mut bytes, MODULE);
                put_u16(&mut bytes, module.vendor);
                put_u16(&mut bytes, module.text_address);
                put_u16(&mut bytes, u16::try_from(module.text.len()).expect("a text section has at most 65,535 bytes"));
                put_u16(&mut bytes, module.secret_address);
                put_u16(&mut bytes, module.secret_bytes);
                put_u16(&mut bytes, module.room);
                put_u16(&mut bytes, module.poll);
                bytes.extend_from_slice(&module.text);
            }
            Self::BuiltIn(built_in) => {
                put_u16(&mut bytes, BUILT_IN);
                put_name(&mut bytes, &built_in.board);
                put_name(&mut bytes, &built_in.driver);
            }
        }
        bytes
    }

    /// Reads an image.
    ///
    /// # Errors
    /// [`FormatError`], as said there.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::open(bytes, MAGIC, "an image for a Sancus board")?;
        let image = match reader.u16("kind")? {
            MODULE => Self::Module(module(&mut reader)?),
            BUILT_IN => Self::BuiltIn(BuiltIn { board: reader.name("board")?, driver: reader.name("driver")? }),
            _ => return Err(FormatError::Malformed { field: "kind" }),
        };
        reader.end()?;
        Ok(image)
    }
}

fn module(reader: &mut Reader<'_>) -> Result<ModuleImage, FormatError> {
    let vendor = reader.u16("vendor id")?;
    let text_address = reader.u16("text address")?;
    let length = reader.u16("text length")?;
    let secret_address = reader.u16("secret address")?;
    let secret_bytes = reader.u16("secret length")?;
    let (room, poll) = (reader.u16("room")?, reader.u16("poll")?);
    section(text_address, length, "text section")?;
    section(secret_address, secret_bytes, "secret section")?;
    if length == 0 {
        return Err(FormatError::Malformed { field: "text length" });
    }
    if room < ROOM_BYTES_MIN || !room.is_multiple_of(2) {
        return Err(FormatError::Malformed { field: "room" });
    }
    let text = reader.take(usize::from(length), "text section")?.to_vec();
    Ok(ModuleImage { vendor, text_address, text, secret_address, secret_bytes, room, poll })
}

fn section(address: u16, length: u16, field: &'static str) -> Result<(), FormatError> {
    let inside = u32::from(address) + u32::from(length) <= 0x1_0000;
    if inside && address.is_multiple_of(2) && length.is_multiple_of(2) {
        return Ok(());
    }
    Err(FormatError::Malformed { field })
}

const MAGIC: [u8; 4] = *b"VSIM";
const MODULE: u16 = 1;
const BUILT_IN: u16 = 2;
/// A bare result record.
const ROOM_BYTES_MIN: u16 = 20;
