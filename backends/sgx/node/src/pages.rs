//! Where an enclave lies in its process.

use rustix::mm::{MapFlags, ProtFlags};
use std::ops::Range;
use std::ptr;
use veritee_sgx_format::{PAGE, Page};

/// An enclave in this process.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) base: u64,
    pub(crate) size: u64,
    pub(crate) tcs: u64,
    /// Code that runs only while an entry goes on.
    pub(crate) window: Range<u64>,
}

/// A range for an enclave, aligned to its length, with a page behind it. Nothing can be accessed there yet.
pub(crate) fn reserve(size: usize) -> Result<u64, String> {
    let length = 2 * size + PAGE;
    // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing.
    let start = unsafe {
        rustix::mm::mmap_anonymous(ptr::null_mut(), length, ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE)
    };
    let start = start.map_err(|error| format!("there is no room for the enclave: {error}"))?;
    Ok((start as u64).next_multiple_of(size as u64))
}

/// Whether two pages can be treated as one: one behind the other, and of a kind.
pub(crate) fn adjacent(left: &Page, right: &Page) -> bool {
    right.offset == left.offset + PAGE as u64 && right.kind == left.kind
}
