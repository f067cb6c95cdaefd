//! Payloads to bytes and back. Numbers of two bytes and more start at even offsets; the gaps are zero.

use crate::payload::{Encode, Field};
use crate::Malformed;

/// How much room a layout takes, and where it may start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Most bytes.
    pub bytes: usize,
    /// It starts at an even offset (and, unless it has a tail, is of even length).
    pub even: bool,
    /// It ends with a byte string of variable length.
    pub tail: bool,
}

impl Shape {
    /// Something of fixed length.
    #[must_use]
    pub const fn fixed(bytes: usize, even: bool) -> Self {
        Self { bytes, even, tail: false }
    }

    /// Fields one after the other.
    #[must_use]
    pub const fn of(fields: &[Self]) -> Self {
        let mut whole = Self::fixed(0, false);
        let mut index = 0;
        while index < fields.len() {
            let field = fields[index];
            let start = if field.even { whole.bytes.next_multiple_of(2) } else { whole.bytes };
            whole = Self { bytes: start + field.bytes, even: whole.even || field.even, tail: field.tail };
            index += 1;
        }
        if whole.even && !whole.tail {
            whole.bytes = whole.bytes.next_multiple_of(2);
        }
        whole
    }
}

/// Writes a payload, front to back.
#[derive(Debug)]
pub struct Encoder<'a> {
    bytes: &'a mut [u8],
    length: usize,
}

impl<'a> Encoder<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, length: 0 }
    }

    /// Puts bytes as they are. What does not fit is counted, not written.
    pub fn put(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(bytes);
        }
        self.length = end;
    }

    /// Puts a field at its proper offset.
    pub fn field<F: Field>(&mut self, field: &F) {
        self.place(field);
    }

    /// Puts anything at its proper offset.
    pub fn place<E: Encode>(&mut self, value: &E) {
        self.align(E::SHAPE.even);
        value.put(self);
        self.align(E::SHAPE.even && !E::SHAPE.tail);
    }

    fn align(&mut self, even: bool) {
        if even && !self.length.is_multiple_of(2) {
            self.put(&[0]);
        }
    }

    /// The length, if all of it was written.
    #[must_use]
    pub fn finish(self) -> Option<usize> {
        (self.length <= self.bytes.len()).then_some(self.length)
    }
}

/// Reads a payload, front to back. Nothing of it is trusted.
#[derive(Debug)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Decoder<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Takes the next `length` bytes.
    ///
    /// # Errors
    /// [`Malformed`] when fewer are left.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.position.checked_add(length).ok_or(Malformed)?;
        let taken = self.bytes.get(self.position..end).ok_or(Malformed)?;
        self.position = end;
        Ok(taken)
    }

    /// Takes a field from its proper offset.
    ///
    /// # Errors
    /// [`Malformed`] when too few bytes are left, they have no meaning, or a gap is not zero.
    pub fn field<F: Field>(&mut self) -> Result<F, Malformed> {
        self.place()
    }

    /// Takes anything from its proper offset.
    ///
    /// # Errors
    /// [`Malformed`] when too few bytes are left, they have no meaning, or a gap is not zero.
    pub fn place<E: Encode>(&mut self) -> Result<E, Malformed> {
        self.align(E::SHAPE.even)?;
        let value = E::take(self)?;
        self.align(E::SHAPE.even && !E::SHAPE.tail)?;
        Ok(value)
    }

    fn align(&mut self, even: bool) -> Result<(), Malformed> {
        let gap = usize::from(even && !self.position.is_multiple_of(2));
        if self.take(gap)?.iter().all(|&byte| byte == 0) { Ok(()) } else { Err(Malformed) }
    }

    /// Ends the reading: nothing may be left but zeros, and of these as many as `room` takes or none.
    ///
    /// # Errors
    /// [`Malformed`] when something is left.
    pub fn finish(self, room: usize) -> Result<(), Malformed> {
        let rest = self.bytes.get(self.position..).unwrap_or(&[]);
        let whole = rest.is_empty() || self.bytes.len() == room;
        if whole && rest.iter().all(|&byte| byte == 0) { Ok(()) } else { Err(Malformed) }
    }

    /// Bytes taken so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }
}
