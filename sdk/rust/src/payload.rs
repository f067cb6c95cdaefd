//! Typed payloads with a fixed little-endian layout.

use veritee_ids::TypeHash;
use veritee_wire::{Layout, Malformed, Reader, Writer};

const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;
const HASH_PRIME: u64 = 0x0100_0000_01b3;

/// Hashes the name and the layout of a type at compile time: FNV-1a, 64 bits.
#[derive(Clone, Copy, Debug)]
pub struct Hasher(u64);

impl Hasher {
    /// Starts with a type's name.
    pub const fn new(name: &str) -> Self {
        Self(HASH_START).bytes(name.as_bytes())
    }

    /// Goes on with bytes.
    pub const fn bytes(self, bytes: &[u8]) -> Self {
        let (mut hash, mut index) = (self.0, 0);
        while index < bytes.len() {
            hash = (hash ^ bytes[index] as u64).wrapping_mul(HASH_PRIME);
            index += 1;
        }
        Self(hash)
    }

    /// Goes on with a field; its name ends with a zero byte, so that names cannot run together.
    pub const fn field(self, name: &str, hash: TypeHash) -> Self {
        self.bytes(name.as_bytes()).bytes(&[0]).bytes(&hash.0)
    }

    /// The hash.
    pub const fn finish(self) -> TypeHash {
        TypeHash(self.0.to_le_bytes())
    }
}

/// Something with a fixed little-endian layout. Derive it for structs and enums.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no fixed layout",
    label = "not a payload",
    note = "payloads are integers to 64 bits, `bool`, arrays, `veritee::Bytes<N>`, and types with `#[derive(veritee::Payload)]`"
)]
pub trait Payload: Layout {
    /// Name of the type.
    const NAME: &'static str;
    /// Its length varies up to `BYTES`, so it can only stand last.
    const TRAILING: bool = false;
    /// Hash of name and layout.
    const HASH: TypeHash;
}

/// What a port can carry: a payload with a name. Derived together with [`Payload`].
#[diagnostic::on_unimplemented(
    message = "a port cannot carry `{Self}`",
    label = "not a message",
    note = "ports carry structs and enums with `#[derive(veritee::Payload)]`: both ends are compared by name and layout"
)]
pub trait Message: Payload {
    /// Encodes into a buffer of the right length and lends the bytes.
    fn give<R>(&self, to: impl FnOnce(&[u8]) -> R) -> R;
}

/// Checks a field of a payload, at compile time. Called by the macro.
#[doc(hidden)]
pub const fn field<T: Payload>(last: bool) {
    let _evaluated = T::HASH;
    assert!(last || !T::TRAILING, "only the last field of a payload can be a byte string: put it last");
}

/// Encodes to the front of `bytes`, which must have room, and gives what was written.
pub fn encode<'a, T: Payload>(value: &T, bytes: &'a mut [u8]) -> &'a [u8] {
    let mut writer = Writer::new(bytes);
    value.put(&mut writer);
    let length = writer.finish().unwrap_or(0);
    bytes.get(..length).unwrap_or(&[])
}

/// Reads a value that fills `bytes`, or fills them but for the zero padding of an event's body (to an even length of at
/// least 2).
///
/// # Errors
/// [`Malformed`] when `bytes` is shorter or longer, a number has no meaning, or padding is not zero.
pub fn decode<T: Payload>(bytes: &[u8]) -> Result<T, Malformed> {
    let mut reader = Reader::new(bytes);
    let value = T::take(&mut reader)?;
    let padding = reader.take_rest();
    let padded = (bytes.len() - padding.len()).next_multiple_of(2).max(2);
    let whole = padding.is_empty() || bytes.len() == padded;
    if whole && padding.iter().all(|&byte| byte == 0) { Ok(value) } else { Err(Malformed) }
}

/// Writes a state and zeros behind it.
pub fn save<T: Payload>(value: &T, state: &mut [u8]) {
    state.fill(0);
    encode(value, state);
}

/// Reads a state that [`save`] wrote.
///
/// # Errors
/// [`Malformed`] when it is not one.
pub fn restore<T: Payload>(state: &[u8]) -> Result<T, Malformed> {
    let mut reader = Reader::new(state);
    let value = T::take(&mut reader)?;
    if reader.take_rest().iter().all(|&byte| byte == 0) { Ok(value) } else { Err(Malformed) }
}

macro_rules! plain {
    ($($type:ty, $name:literal;)*) => {$(
        impl Payload for $type {
            const NAME: &'static str = $name;
            const HASH: TypeHash = Hasher::new($name).finish();
        }
    )*};
}

plain! {
    u8, "u8"; u16, "u16"; u32, "u32"; u64, "u64"; i8, "i8"; i16, "i16"; i32, "i32"; i64, "i64"; bool, "bool";
}

impl<T: Payload + Copy, const N: usize> Payload for [T; N] {
    const NAME: &'static str = "array";
    const HASH: TypeHash = {
        assert!(N > 0 && !T::TRAILING, "an array has elements, and of fixed length");
        Hasher::new("array").field("", T::HASH).bytes(&(N as u64).to_le_bytes()).finish()
    };
}

/// Nothing: an entry without arguments or response.
impl Payload for () {
    const NAME: &'static str = "";
    const HASH: TypeHash = TypeHash([0; 8]);
}

impl Message for () {
    fn give<R>(&self, to: impl FnOnce(&[u8]) -> R) -> R {
        to(&[])
    }
}
