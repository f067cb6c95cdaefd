//! Typed payloads with a fixed little-endian layout.
//!
//! | type | layout | canonical text |
//! |---|---|---|
//! | `u8` … `u64`, `i8` … `i64` | little-endian; two bytes and more start at an even offset | `u16` |
//! | `bool` | one byte, 0 or 1 | `bool` |
//! | `[T; N]` | `N` times `T` | `[u16;4]` |
//! | `#[derive(Payload)] struct` | its fields in order; a struct with an even field starts and ends even | `Celsius{tenths:i16}` |
//! | `#[derive(Payload)] enum` with a `repr` | its number | `Switch:u8{Off=0,On=1}` |
//! | [`Bytes<N>`](crate::Bytes), as last field | u16 length at an even offset, then so many bytes | `bytes<32>` |
//!
//! Gaps are one zero byte and are checked. That is how a C compiler for a 16-bit part lays a struct out, so it reads
//! payloads in place. Name and layout make the type: two ports are of one type when their [`Payload::HASH`] is the same.

use crate::codec::{Decoder, Encoder, Shape};
use crate::text::Text;
use veritee_ids::TypeHash;
use veritee_wire::Malformed;

/// Something with a layout. Derived together with [`Payload`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no payload layout",
    label = "not part of a payload",
    note = "payloads are made of u8 to u64, i8 to i64, bool, arrays of these, types with `#[derive(Payload)]`, and `Bytes<N>` as last field"
)]
pub trait Encode: Sized {
    /// The canonical layout.
    const LAYOUT: &'static Text;
    /// Room and alignment.
    const SHAPE: Shape;
    /// Puts the value; the encoder stands at its proper offset.
    fn put(&self, to: &mut Encoder<'_>);
    /// Takes a value; the decoder stands at its proper offset.
    ///
    /// # Errors
    /// [`Malformed`] when too few bytes are left, or they have no meaning.
    fn take(from: &mut Decoder<'_>) -> Result<Self, Malformed>;
}

/// Something of fixed length: it may stand anywhere in a payload.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand here in a payload",
    label = "not a field of fixed length",
    note = "fields are u8 to u64, i8 to i64, bool, arrays of these, and types with `#[derive(Payload)]` that have no `Bytes`"
)]
pub trait Field: Encode {
    /// Puts many, one after the other.
    fn put_all(fields: &[Self], to: &mut Encoder<'_>) {
        fields.iter().for_each(|field| to.field(field));
    }
}

/// What an event, a request, an answer or an entry carries. Derive it.
///
/// ```
/// use veritee::{Bytes, Payload};
///
/// #[derive(Payload, Clone, Copy, PartialEq, Debug)]
/// #[repr(u8)]
/// enum Level {
///     Low = 0,
///     High = 1,
/// }
///
/// #[derive(Payload, PartialEq, Debug)]
/// struct Alarm {
///     level: Level,
///     at: u32,
///     note: Bytes<16>,
/// }
///
/// assert_eq!(Alarm::layout(), "Alarm{level:Level:u8{Low=0,High=1},at:u32,note:bytes<16>}");
/// let alarm = Alarm { level: Level::High, at: 7, note: Bytes::from_slice(b"door").unwrap() };
/// let bytes = [1, 0, 7, 0, 0, 0, 4, 0, b'd', b'o', b'o', b'r'];
/// alarm.with_bytes(|encoded| assert_eq!(encoded, bytes));
/// assert_eq!(Alarm::decode(&bytes), Ok(alarm));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a payload",
    label = "a port carries a type with `#[derive(Payload)]`",
    note = "give it a name: `#[derive(Payload)] struct Name {{ … }}`; its name is part of the port's type"
)]
pub trait Payload: Encode {
    /// Its name in port tables, at most 40 bytes.
    const NAME: &'static str;
    /// Hash of name and canonical layout.
    const HASH: TypeHash = Self::LAYOUT.hash();
    /// Largest length in bytes.
    const BYTES_MAX: usize = Self::SHAPE.bytes;

    /// Encodes into a buffer of the right length and lends the bytes.
    fn with_bytes<R>(&self, body: impl FnOnce(&[u8]) -> R) -> R;

    /// Writes the value to the front of `bytes` and gives its length; `None` when `bytes` is too short.
    fn encode(&self, bytes: &mut [u8]) -> Option<usize> {
        let mut to = Encoder::new(bytes);
        to.place(self);
        to.finish()
    }

    /// Reads a value that fills `bytes`, or fills them but for the zero padding of an event's body (to an even length of
    /// at least 2).
    ///
    /// # Errors
    /// [`Malformed`] when `bytes` is shorter or longer, a number has no meaning, or padding is not zero.
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        let value = from.place()?;
        let padded = from.position().next_multiple_of(2).max(2);
        from.finish(padded)?;
        Ok(value)
    }

    /// The canonical layout as text.
    #[must_use]
    fn layout() -> &'static str {
        Self::LAYOUT.as_str()
    }
}

macro_rules! integers {
    ($($type:ty, $name:literal;)*) => {$(
        impl Encode for $type {
            const LAYOUT: &'static Text = &Text::new($name);
            const SHAPE: Shape = Shape::fixed(size_of::<$type>(), size_of::<$type>() > 1);
            fn put(&self, to: &mut Encoder<'_>) {
                to.put(&self.to_le_bytes());
            }
            fn take(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
                let bytes = from.take(size_of::<$type>())?;
                bytes.try_into().map(Self::from_le_bytes).map_err(|_| Malformed)
            }
        }
    )*};
}

integers! {
    u8, "u8"; u16, "u16"; u32, "u32"; u64, "u64"; i8, "i8"; i16, "i16"; i32, "i32"; i64, "i64";
}

impl Field for u8 {
    fn put_all(fields: &[Self], to: &mut Encoder<'_>) {
        to.put(fields);
    }
}
impl Field for u16 {}
impl Field for u32 {}
impl Field for u64 {}
impl Field for i8 {}
impl Field for i16 {}
impl Field for i32 {}
impl Field for i64 {}

impl Encode for bool {
    const LAYOUT: &'static Text = &Text::new("bool");
    const SHAPE: Shape = Shape::fixed(1, false);
    fn put(&self, to: &mut Encoder<'_>) {
        to.put(&[u8::from(*self)]);
    }
    fn take(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        match from.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Malformed),
        }
    }
}
impl Field for bool {}

impl<T: Field + Copy, const N: usize> Encode for [T; N] {
    const LAYOUT: &'static Text = &Text::new("[").and(T::LAYOUT.as_str()).and(";").number(N).and("]");
    const SHAPE: Shape = Shape::fixed(T::SHAPE.bytes * N, T::SHAPE.even);
    fn put(&self, to: &mut Encoder<'_>) {
        T::put_all(self, to);
    }
    fn take(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        const { assert!(N > 0, "an array in a payload has at least one element") };
        let mut fields = [from.field()?; N];
        for field in fields.iter_mut().skip(1) {
            *field = from.field()?;
        }
        Ok(fields)
    }
}
impl<T: Field + Copy, const N: usize> Field for [T; N] {}

/// Nothing: an entry without arguments or response.
impl Encode for () {
    const LAYOUT: &'static Text = &Text::new("");
    const SHAPE: Shape = Shape::fixed(0, false);
    fn put(&self, _: &mut Encoder<'_>) {}
    fn take(_: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(())
    }
}

impl Payload for () {
    const NAME: &'static str = "";
    const HASH: TypeHash = TypeHash([0; 8]);
    fn with_bytes<R>(&self, body: impl FnOnce(&[u8]) -> R) -> R {
        body(&[])
    }
}
