//! The file of an image: SIGSTRUCT and pages.
//!
//! | offset | length | field |
//! |---|---|---|
//! | 0 | 8 | `VTSGXIMG` |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | zero |
//! | 16 | 1808 | SIGSTRUCT |
//! | 1824 | rest | SGXS stream |

use crate::sgxs::measure;
use crate::sigstruct::BYTES as SIGSTRUCT_BYTES;
use crate::{Contents, EnclaveLayout, FormatError, PAGE, PageKind, Sigstruct};

const MAGIC: [u8; 8] = *b"VTSGXIMG";
const VERSION: u32 = 1;
const FRONT: usize = 16;

/// An image that was read.
#[derive(Clone, Debug)]
pub struct SgxImage {
    /// MRENCLAVE, as measured here.
    pub measurement: [u8; 32],
    /// Who signed what.
    pub sigstruct: Sigstruct,
    /// Its pages.
    pub contents: Contents,
    /// Where things are.
    pub layout: EnclaveLayout,
}

/// The file of an image.
#[must_use]
pub fn write(sigstruct: &Sigstruct, stream: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(FRONT + SIGSTRUCT_BYTES + stream.len());
    file.extend_from_slice(&MAGIC);
    file.extend_from_slice(&VERSION.to_le_bytes());
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(sigstruct.bytes());
    file.extend_from_slice(stream);
    file
}

/// Whether a file begins as an image does.
#[must_use]
pub fn is_image(file: &[u8]) -> bool {
    file.starts_with(&MAGIC)
}

impl SgxImage {
    /// Reads a file, and checks measurement and signature as EINIT does.
    ///
    /// # Errors
    /// Any [`FormatError`].
    pub fn read(file: &[u8]) -> Result<Self, FormatError> {
        if !is_image(file) {
            return Err(FormatError::NoImage);
        }
        let version = crate::word(file, 8).map(u32::from_le_bytes).ok_or(FormatError::Length)?;
        if version != VERSION {
            return Err(FormatError::Version { expected: VERSION, actual: version });
        }
        let (sigstruct, stream) = file
            .get(FRONT..)
            .and_then(|rest| rest.split_first_chunk::<SIGSTRUCT_BYTES>())
            .filter(|_| file[12..FRONT] == [0; 4])
            .ok_or(FormatError::Length)?;
        let sigstruct = Sigstruct::from_bytes(sigstruct);
        let measurement = measure(stream);
        sigstruct.check(measurement)?;
        let contents = Contents::read(stream)?;
        let layout = check(&contents)?;
        Ok(Self { measurement, sigstruct, contents, layout })
    }

    /// Bytes of the port table.
    #[must_use]
    pub fn ports(&self) -> Option<Vec<u8>> {
        self.contents.bytes(self.layout.ports.0, self.layout.ports.1)
    }
}

/// What every image of ours keeps to: one thread, nothing writable and executable, everything else measured.
fn check(contents: &Contents) -> Result<EnclaveLayout, FormatError> {
    let mut threads = contents.pages.iter().filter(|page| page.kind == PageKind::Tcs);
    let (Some(tcs), None) = (threads.next(), threads.next()) else {
        return Err(FormatError::Pages("it has not exactly one thread"));
    };
    let before = tcs.offset.checked_sub(PAGE as u64).and_then(|offset| contents.page(offset));
    let page = before.filter(|page| page.kind == PageKind::READ).and_then(|page| page.measured.as_ref());
    let layout = EnclaveLayout::read(page.ok_or(FormatError::Pages("no layout page lies in front of the TCS"))?)?;
    if layout.tcs != tcs.offset || layout.size != contents.size || tcs.measured.is_none() {
        return Err(FormatError::Pages("its layout page tells of another enclave"));
    }
    for page in &contents.pages {
        if page.kind == (PageKind::Regular { write: true, execute: true }) {
            return Err(FormatError::Pages("a page is writable and executable"));
        }
        if page.measured.is_none() && page.kind != PageKind::WRITE {
            return Err(FormatError::Pages("a page that is not measured is more than room for data"));
        }
    }
    Ok(layout)
}
