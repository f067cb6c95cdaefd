//! Reading and writing of fields.

use crate::{FormatError, NAME_BYTES_MAX, VERSION};

/// What is left to read.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads letters and version.
    pub(crate) fn open(bytes: &'a [u8], magic: [u8; 4], what: &'static str) -> Result<Self, FormatError> {
        let rest = bytes.strip_prefix(&magic).ok_or(FormatError::Foreign { what })?;
        let mut reader = Self(rest);
        match reader.u16("version")? {
            VERSION => Ok(reader),
            found => Err(FormatError::Version { found }),
        }
    }

    pub(crate) fn take(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(FormatError::Malformed { field })?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, FormatError> {
        Ok(self.take(1, field)?[0])
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, FormatError> {
        let bytes = self.take(2, field)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    /// A length in one byte, then so many bytes of UTF-8.
    pub(crate) fn name(&mut self, field: &'static str) -> Result<String, FormatError> {
        let length = usize::from(self.u8(field)?);
        let bytes = self.take(length, field)?;
        match str::from_utf8(bytes) {
            Ok(name) if length <= NAME_BYTES_MAX => Ok(name.to_owned()),
            _ => Err(FormatError::Malformed { field }),
        }
    }

    pub(crate) const fn end(self) -> Result<(), FormatError> {
        if self.0.is_empty() { Ok(()) } else { Err(FormatError::Malformed { field: "the end" }) }
    }
}

/// Letters and version.
pub(crate) fn begin(magic: [u8; 4]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    put_u16(&mut bytes, VERSION);
    bytes
}

pub(crate) fn put_u16(bytes: &mut Vec<u8>, value: u16) {
    bytes.extend_from_slice(&value.to_le_bytes());
}

/// Appends a name; what is beyond [`NAME_BYTES_MAX`] is refused by whoever reads it.
pub(crate) fn put_name(bytes: &mut Vec<u8>, name: &str) {
    bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(name.as_bytes());
}
