//! Pages of an enclave in the form in which they are measured: the SGXS stream.
//!
//! The stream is exactly what ECREATE, EADD and EEXTEND feed to the measurement, so MRENCLAVE is its SHA-256. Pages that are
//! added without EEXTEND are zero here; on hardware the host chooses what is in them.

use crate::{FormatError, PAGE, hex, word};
use sha2::{Digest, Sha256};

const ECREATE: [u8; 8] = *b"ECREATE\0";
const EADD: [u8; 8] = *b"EADD\0\0\0\0";
const EEXTEND: [u8; 8] = *b"EEXTEND\0";
const BLOCK: usize = 64;
const CHUNK: usize = 256;
/// Largest range of an enclave.
pub const SIZE_MAX: u64 = 1 << 30;

/// What a page is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageKind {
    /// A thread's control structure.
    Tcs,
    /// Code or data.
    Regular {
        /// Can be written.
        write: bool,
        /// Can be executed.
        execute: bool,
    },
}

impl PageKind {
    /// Read-only data.
    pub const READ: Self = Self::Regular { write: false, execute: false };
    /// Data that can be written.
    pub const WRITE: Self = Self::Regular { write: true, execute: false };
    /// Code.
    pub const EXECUTE: Self = Self::Regular { write: false, execute: true };

    /// SECINFO.FLAGS.
    #[must_use]
    pub const fn flags(self) -> u64 {
        match self {
            Self::Tcs => 0x100,
            Self::Regular { write, execute } => 0x201 | (write as u64) << 1 | (execute as u64) << 2,
        }
    }

    fn of(flags: u64) -> Option<Self> {
        let regular = Self::Regular { write: flags & 2 != 0, execute: flags & 4 != 0 };
        [Self::Tcs, regular].into_iter().find(|kind| kind.flags() == flags)
    }
}

impl std::fmt::Display for PageKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcs => "TCS",
            Self::Regular { write: false, execute: false } => "R--",
            Self::Regular { write: true, execute: false } => "RW-",
            Self::Regular { write: false, execute: true } => "R-X",
            Self::Regular { write: true, execute: true } => "RWX",
        })
    }
}

/// A page of an enclave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// Offset from the enclave's base.
    pub offset: u64,
    /// What it is.
    pub kind: PageKind,
    /// Its bytes, if they are measured.
    pub measured: Option<Box<[u8; PAGE]>>,
}

/// Everything in an enclave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contents {
    /// Length of its range, a power of two.
    pub size: u64,
    /// Pages in ascending order. What lies between them is not there.
    pub pages: Vec<Page>,
}

impl Contents {
    /// The stream.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let measured = self.pages.iter().filter(|page| page.measured.is_some()).count();
        let mut stream = Vec::with_capacity(BLOCK * (1 + self.pages.len()) + measured * (PAGE + 16 * BLOCK));
        let mut block = |tag: [u8; 8], fields: &[&[u8]]| {
            let start = stream.len();
            stream.extend_from_slice(&tag);
            fields.iter().for_each(|field| stream.extend_from_slice(field));
            stream.resize(stream.len().max(start + BLOCK), 0);
            start
        };
        // One page of saved state a frame.
        block(ECREATE, &[&1_u32.to_le_bytes(), &self.size.to_le_bytes()]);
        for page in &self.pages {
            block(EADD, &[&page.offset.to_le_bytes(), &page.kind.flags().to_le_bytes()]);
            let Some(bytes) = &page.measured else { continue };
            for (chunk, at) in bytes.chunks_exact(CHUNK).zip((page.offset..).step_by(CHUNK)) {
                block(EEXTEND, &[&at.to_le_bytes(), &[0; BLOCK - 16], chunk]);
            }
        }
        stream
    }

    /// Reads a stream and refuses what no image of ours has.
    ///
    /// # Errors
    /// [`FormatError::Pages`] with the rule.
    pub fn read(stream: &[u8]) -> Result<Self, FormatError> {
        let mut reader = StreamReader(stream);
        let (create, fields) = reader.block()?;
        let (frame, size) = (word(fields, 0).map(u32::from_le_bytes), word(fields, 4).map(u64::from_le_bytes));
        let size = size.filter(|size| size.is_power_of_two() && *size <= SIZE_MAX && *size >= PAGE as u64);
        let (true, Some(1), Some(size), true) = (create == ECREATE, frame, size, rest_is_zero(fields, 12)) else {
            return Err(FormatError::Pages("it does not begin with an ECREATE of our form"));
        };
        let mut pages: Vec<Page> = Vec::new();
        while !reader.0.is_empty() {
            let page = reader.page()?;
            let after = pages.last().map_or(0, |last| last.offset + PAGE as u64);
            if page.offset < after || page.offset >= size {
                return Err(FormatError::Pages("pages overlap, are out of order, or lie outside"));
            }
            pages.push(page);
        }
        Ok(Self { size, pages })
    }

    /// The page at an offset.
    #[must_use]
    pub fn page(&self, offset: u64) -> Option<&Page> {
        self.pages.binary_search_by_key(&offset, |page| page.offset).ok().map(|index| &self.pages[index])
    }

    /// Measured bytes from `offset` on, which may span pages.
    #[must_use]
    pub fn bytes(&self, offset: u64, length: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut at = offset;
        let end = offset.checked_add(length).filter(|end| *end <= self.size)?;
        while at < end {
            let start = at / PAGE as u64 * PAGE as u64;
            let page = self.page(start)?.measured.as_ref()?;
            let stop = (start + PAGE as u64).min(end);
            let inside = |at: u64| usize::try_from(at - start).ok();
            bytes.extend_from_slice(page.get(inside(at)?..inside(stop)?)?);
            at = stop;
        }
        Some(bytes)
    }
}

/// MRENCLAVE of a stream.
#[must_use]
pub fn measure(stream: &[u8]) -> [u8; 32] {
    Sha256::digest(stream).into()
}

/// MRENCLAVE of a stream, in hexadecimal.
#[must_use]
pub fn measure_hex(stream: &[u8]) -> String {
    hex(&measure(stream))
}

struct StreamReader<'a>(&'a [u8]);

impl<'a> StreamReader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], FormatError> {
        let (front, rest) = self.0.split_at_checked(length).ok_or(FormatError::Pages("the stream is cut"))?;
        self.0 = rest;
        Ok(front)
    }

    fn block(&mut self) -> Result<([u8; 8], &'a [u8]), FormatError> {
        let (tag, fields) = self.take(BLOCK)?.split_at(8);
        Ok((tag.try_into().unwrap_or_default(), fields))
    }

    fn page(&mut self) -> Result<Page, FormatError> {
        let (tag, fields) = self.block()?;
        let offset = word(fields, 0).map(u64::from_le_bytes).filter(|offset| offset.is_multiple_of(PAGE as u64));
        let kind = word(fields, 8).map(u64::from_le_bytes).and_then(PageKind::of);
        let (true, Some(offset), Some(kind), true) = (tag == EADD, offset, kind, rest_is_zero(fields, 16)) else {
            return Err(FormatError::Pages("a page is not added in our form"));
        };
        if !self.0.starts_with(&EEXTEND) {
            return Ok(Page { offset, kind, measured: None });
        }
        let mut bytes = Box::new([0; PAGE]);
        for (chunk, at) in bytes.chunks_exact_mut(CHUNK).zip((offset..).step_by(CHUNK)) {
            let (tag, fields) = self.block()?;
            if tag != EEXTEND || word(fields, 0) != Some(at.to_le_bytes()) || !rest_is_zero(fields, 8) {
                return Err(FormatError::Pages("a page is measured in part only"));
            }
            chunk.copy_from_slice(self.take(CHUNK)?);
        }
        Ok(Page { offset, kind, measured: Some(bytes) })
    }
}

fn rest_is_zero(fields: &[u8], from: usize) -> bool {
    fields.iter().skip(from).all(|byte| *byte == 0)
}
