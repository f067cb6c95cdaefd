//! Reading and writing little-endian fields without allocation and without panics.

/// The bytes do not have the declared form: too short, too long, or a number without meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// Takes fields off the front of a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
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

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Takes everything that is left.
    pub fn take_rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// Takes one field.
    ///
    /// # Errors
    /// [`Malformed`] when too few bytes are left, or they have no meaning.
    pub fn field<F: Layout>(&mut self) -> Result<F, Malformed> {
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
    pub fn field<F: Layout>(&mut self, field: F) {
        field.put(self);
    }

    /// Says how many bytes were put.
    ///
    /// # Errors
    /// [`Malformed`] when something did not fit.
    pub const fn finish(self) -> Result<usize, Malformed> {
        if self.overflowed { Err(Malformed) } else { Ok(self.length) }
    }
}

/// A fixed layout: an integer, an array of bytes, a code, a name, or a row of the table of layouts.
#[diagnostic::on_unimplemented(message = "`{Self}` has no fixed layout", label = "not a payload")]
pub trait Layout: Sized {
    /// Length in bytes.
    const BYTES: usize;
    /// Puts it.
    fn put(&self, writer: &mut Writer<'_>);
    /// Takes it.
    ///
    /// # Errors
    /// [`Malformed`] when too few bytes are left, or they have no meaning.
    fn take(reader: &mut Reader<'_>) -> Result<Self, Malformed>;

    /// Reads a slice that holds exactly this.
    ///
    /// # Errors
    /// [`Malformed`] when the slice is shorter or longer, or has no meaning.
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (value, rest) = Self::decode_front(bytes)?;
        if rest.is_empty() { Ok(value) } else { Err(Malformed) }
    }

    /// Reads a slice that starts with this; gives what follows, too.
    ///
    /// # Errors
    /// [`Malformed`] when the slice is shorter, or has no meaning.
    fn decode_front(bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let mut reader = Reader::new(bytes);
        Ok((Self::take(&mut reader)?, reader.take_rest()))
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

    /// Its bytes: `N` is [`BYTES`](Self::BYTES).
    fn bytes<const N: usize>(&self) -> [u8; N] {
        const { assert!(N == Self::BYTES, "a layout has its own length") };
        let mut bytes = [0; N];
        self.put(&mut Writer::new(&mut bytes));
        bytes
    }
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Layout for $type {
            const BYTES: usize = size_of::<$type>();
            fn put(&self, writer: &mut Writer<'_>) {
                writer.put(&self.to_le_bytes());
            }
            fn take(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                reader.array().map(Self::from_le_bytes)
            }
        }
    )*};
}

integers! { u8 u16 u32 u64 i8 i16 i32 i64 }

impl Layout for bool {
    const BYTES: usize = 1;
    fn put(&self, writer: &mut Writer<'_>) {
        u8::from(*self).put(writer);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let number: u8 = reader.field()?;
        if number < 2 { Ok(number == 1) } else { Err(Malformed) }
    }
}

impl<T: Layout + Copy, const N: usize> Layout for [T; N] {
    const BYTES: usize = N * T::BYTES;
    fn put(&self, writer: &mut Writer<'_>) {
        self.iter().for_each(|element| element.put(writer));
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        const { assert!(N > 0, "an array has elements") };
        let mut elements = [reader.field()?; N];
        for element in elements.iter_mut().skip(1) {
            *element = reader.field()?;
        }
        Ok(elements)
    }
}

/// Nothing.
impl Layout for () {
    const BYTES: usize = 0;
    fn put(&self, _: &mut Writer<'_>) {}
    fn take(_: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(())
    }
}

impl From<Malformed> for crate::ControlResult {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}
