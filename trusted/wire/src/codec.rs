//! Reading and writing little-endian fields without allocation and without panics.

use veritee_ids::codes::UnknownCode;
use veritee_ids::{
    ActivationId, ApplicationHandle, ApplicationId, Challenge, CipherId, ConnectionId, ControlKind,
    ControlResult, Counter, Direction, EntryIndex, Epoch, FrameKind, Freshness, Label, Lifecycle,
    OperationId, PortIndex, PortKind, PriorEpoch, Role, RowIndex, SessionId, Status, TypeHash,
};

/// The bytes do not have the declared form: too short, too long, or a number without meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

impl From<UnknownCode> for Malformed {
    fn from(_: UnknownCode) -> Self {
        Self
    }
}

/// Takes fields off the front of a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes the next `length` bytes.
    ///
    /// # Errors
    /// [`Malformed`] when fewer are left.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes everything that is left.
    pub fn take_rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// Takes one field.
    ///
    /// # Errors
    /// [`Malformed`] when too few bytes are left, or they have no meaning.
    pub fn field<F: Field>(&mut self) -> Result<F, Malformed> {
        F::take(self)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`Malformed`] when bytes are left over.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Puts fields into a slice, front to back. Writing past the end sets a flag instead of panicking.
#[derive(Debug)]
pub struct Writer<'a> {
    bytes: &'a mut [u8],
    length: usize,
    overflowed: bool,
}

impl<'a> Writer<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, length: 0, overflowed: false }
    }

    /// Puts bytes as they are.
    pub fn put(&mut self, bytes: &[u8]) {
        match self.bytes.get_mut(self.length..self.length.saturating_add(bytes.len())) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.length += bytes.len();
            }
            None => self.overflowed = true,
        }
    }

    /// Puts one field.
    pub fn field<F: Field>(&mut self, field: F) {
        field.put(self);
    }

    /// Ends the writing: how many bytes were put.
    ///
    /// # Errors
    /// [`Malformed`] when the slice was too short.
    pub const fn finish(self) -> Result<usize, Malformed> {
        if self.overflowed { Err(Malformed) } else { Ok(self.length) }
    }
}

/// A value of fixed length on the wire.
pub trait Field: Sized {
    /// Length in bytes.
    const BYTES: usize;
    /// The type's name in the C header; `[N]` at the end makes it an array.
    const C_TYPE: &'static str;
    /// Puts the value.
    fn put(&self, writer: &mut Writer<'_>);
    /// Takes a value.
    ///
    /// # Errors
    /// [`Malformed`] when too few bytes are left, or they have no meaning.
    fn take(reader: &mut Reader<'_>) -> Result<Self, Malformed>;
}

macro_rules! integers {
    ($($type:ty, $c:literal;)*) => {$(
        impl Field for $type {
            const BYTES: usize = size_of::<$type>();
            const C_TYPE: &'static str = $c;
            fn put(&self, writer: &mut Writer<'_>) {
                writer.put(&self.to_le_bytes());
            }
            fn take(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                let mut bytes = [0; size_of::<$type>()];
                bytes.copy_from_slice(reader.take(size_of::<$type>())?);
                Ok(Self::from_le_bytes(bytes))
            }
        }
    )*};
}

integers! {
    u8, "uint8_t"; u16, "uint16_t"; u32, "uint32_t"; u64, "uint64_t";
    i8, "int8_t"; i16, "int16_t"; i32, "int32_t"; i64, "int64_t";
}

impl<const N: usize> Field for [u8; N] {
    const BYTES: usize = N;
    const C_TYPE: &'static str = "uint8_t[]";
    fn put(&self, writer: &mut Writer<'_>) {
        writer.put(self);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(reader.take(N)?);
        Ok(bytes)
    }
}

macro_rules! wrapped {
    ($($type:ident($inner:ty);)*) => {$(
        impl Field for $type {
            const BYTES: usize = <$inner>::BYTES;
            const C_TYPE: &'static str = <$inner>::C_TYPE;
            fn put(&self, writer: &mut Writer<'_>) {
                self.0.put(writer);
            }
            fn take(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                Ok(Self(<$inner>::take(reader)?))
            }
        }
    )*};
}

wrapped! {
    ApplicationHandle(u16); ConnectionId(u16); RowIndex(u16); Epoch(u32); Counter(u64);
    PortIndex(u16); EntryIndex(u16); ActivationId([u8; 16]); ApplicationId([u8; 16]);
    Challenge([u8; 16]); OperationId([u8; 16]); SessionId([u8; 16]); TypeHash([u8; 8]);
}

macro_rules! coded {
    ($($type:ident($repr:ty);)*) => {$(
        impl Field for $type {
            const BYTES: usize = <$repr>::BYTES;
            const C_TYPE: &'static str = <$repr>::C_TYPE;
            fn put(&self, writer: &mut Writer<'_>) {
                self.code().put(writer);
            }
            fn take(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                Ok(Self::try_from(<$repr>::take(reader)?)?)
            }
        }
    )*};
}

coded! {
    CipherId(u8); Role(u8); Status(u16); FrameKind(u16); Direction(u16); PortKind(u16);
    Freshness(u16); Lifecycle(u16); PriorEpoch(u16); Label(u16); ControlKind(u16);
    ControlResult(u16);
}

/// A row of the table: a fixed layout, optionally followed by bytes.
pub trait Layout: Sized {
    /// Its name in documentation and in C.
    const NAME: &'static str;
    /// Length in bytes.
    const BYTES: usize;
    /// Its fields in order.
    const FIELDS: &'static [FieldInfo];
    /// Puts all fields.
    fn put(&self, writer: &mut Writer<'_>);
    /// Takes all fields.
    ///
    /// # Errors
    /// [`Malformed`] when too few bytes are left, or they have no meaning.
    fn take(reader: &mut Reader<'_>) -> Result<Self, Malformed>;

    /// Reads a slice that holds exactly this.
    ///
    /// # Errors
    /// [`Malformed`] when the slice is shorter or longer, or has no meaning.
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let value = Self::take(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }

    /// Reads a slice that starts with this; gives what follows, too.
    ///
    /// # Errors
    /// [`Malformed`] when the slice is shorter, or has no meaning.
    fn decode_front(bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let mut reader = Reader::new(bytes);
        let value = Self::take(&mut reader)?;
        Ok((value, reader.take_rest()))
    }

    /// Writes this to the front of `bytes` and says how many bytes it took.
    ///
    /// # Errors
    /// [`Malformed`] when `bytes` is too short.
    fn encode(&self, bytes: &mut [u8]) -> Result<usize, Malformed> {
        let mut writer = Writer::new(bytes);
        self.put(&mut writer);
        writer.finish()
    }
}

/// One field of a layout, for documentation and for C.
#[derive(Clone, Copy, Debug)]
pub struct FieldInfo {
    /// Name.
    pub name: &'static str,
    /// Length in bytes.
    pub bytes: usize,
    /// Type in C.
    pub c_type: &'static str,
    /// Meaning.
    pub doc: &'static str,
}

/// A layout without its type, for documentation and for C.
#[derive(Clone, Copy, Debug)]
pub struct LayoutInfo {
    /// Name.
    pub name: &'static str,
    /// Length in bytes.
    pub bytes: usize,
    /// Fields in order.
    pub fields: &'static [FieldInfo],
    /// Meaning, a line each.
    pub doc: &'static [&'static str],
}
