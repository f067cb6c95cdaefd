//! A byte string of bounded length, stored in place.

use crate::payload::{Hasher, Payload};
use core::fmt;
use core::ops::Deref;
use veritee_ids::TypeHash;
use veritee_wire::{Layout, Malformed, Reader, Writer};

/// Up to `N` bytes. On the wire: its length (u16), then the bytes; only as the last field of a payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bytes<const N: usize> {
    bytes: [u8; N],
    length: u16,
}

impl<const N: usize> Bytes<N> {
    /// A copy of `bytes`; `None` when they are too many.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let length = u16::try_from(bytes.len()).ok()?;
        let mut copy = [0; N];
        copy.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { bytes: copy, length })
    }

    /// The first `N` bytes of a text or slice.
    pub fn new_truncated(bytes: &[u8]) -> Self {
        let length = bytes.len().min(N).min(usize::from(u16::MAX));
        bytes.get(..length).and_then(Self::new).unwrap_or_default()
    }
}

impl<const N: usize> Default for Bytes<N> {
    fn default() -> Self {
        Self { bytes: [0; N], length: 0 }
    }
}

impl<const N: usize> Deref for Bytes<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<const N: usize> Layout for Bytes<N> {
    const BYTES: usize = 2 + N;
    fn put(&self, writer: &mut Writer<'_>) {
        writer.field(self.length);
        writer.put(self);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let length: u16 = reader.field()?;
        Self::new(reader.take(usize::from(length))?).ok_or(Malformed)
    }
}

impl<const N: usize> Payload for Bytes<N> {
    const NAME: &'static str = "bytes";
    const TRAILING: bool = true;
    const HASH: TypeHash = Hasher::new("bytes").bytes(&(N as u64).to_le_bytes()).finish();
}
