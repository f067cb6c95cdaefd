//! What the kernel's SGX driver is asked with: its structures, its numbers.
//!
//! # Source
//! Linux, `arch/x86/include/uapi/asm/sgx.h` and `arch/x86/include/asm/sgx.h`.

use rustix::mm::{MapFlags, ProtFlags};
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsRawFd as _;
use veritee_sgx_format::{PAGE, Sigstruct};

/// SGX_PAGE_MEASURE.
const MEASURE: u64 = 1;
/// SGX_MAGIC, and the directions of `_IOC`.
const MAGIC: u64 = 0xa4;
const WRITE: u64 = 1;
const READ_WRITE: u64 = 3;

/// A page of memory on its boundary.
#[derive(Clone, Debug)]
#[repr(C, align(4096))]
pub(crate) struct Frame(pub(crate) [u8; PAGE]);

/// SECS: what ECREATE begins an enclave with.
///
/// | offset | length | field |
/// |---|---|---|
/// | 0, 8 | 8 | size, base |
/// | 16 | 4 | pages of saved state a frame |
/// | 20 | 4 | MISCSELECT |
/// | 48, 56 | 8 | attributes: flags, XFRM |
/// | rest | | zero; the processor fills it |
#[derive(Debug)]
#[repr(C, align(4096))]
pub(crate) struct Secs {
    pub(crate) size: u64,
    pub(crate) base: u64,
    pub(crate) frame_pages: u32,
    pub(crate) misc: u32,
    reserved: [u8; 24],
    pub(crate) flags: u64,
    pub(crate) xfrm: u64,
    rest: [u8; PAGE - 64],
}

impl Secs {
    /// One page of saved state a frame, as the stream of pages has it.
    pub(crate) const fn new(base: u64, size: u64, flags: u64, xfrm: u64) -> Self {
        Self { size, base, frame_pages: 1, misc: 0, reserved: [0; 24], flags, xfrm, rest: [0; PAGE - 64] }
    }
}

/// SECINFO: what a page is.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct SecInfo {
    pub(crate) flags: u64,
    reserved: [u8; 56],
}

impl SecInfo {
    pub(crate) const fn new(flags: u64) -> Self {
        Self { flags, reserved: [0; 56] }
    }
}

/// The driver, as far as it is used; tests have one of their own.
pub(crate) trait Driver {
    /// Asks for what a number says, with its structure.
    ///
    /// # Safety
    /// 1. The structure is the one of the number; what its addresses point at is valid, and nothing else is read or written.
    unsafe fn ask(&self, code: u64, structure: *mut libc::c_void) -> io::Result<()>;

    /// Maps pages of the enclave at their place.
    ///
    /// # Safety
    /// 1. The place was reserved for the enclave; nothing has a reference there.
    unsafe fn map(&self, start: u64, length: usize, protection: ProtFlags) -> io::Result<()>;
}

impl Driver for File {
    unsafe fn ask(&self, code: u64, structure: *mut libc::c_void) -> io::Result<()> {
        // SAFETY: the kernel reads and writes what the number says, and that is the structure (duty 1).
        match unsafe { libc::ioctl(self.as_raw_fd(), code, structure) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    unsafe fn map(&self, start: u64, length: usize, protection: ProtFlags) -> io::Result<()> {
        let flags = MapFlags::SHARED | MapFlags::FIXED;
        // SAFETY: duty 1 of the caller.
        unsafe { rustix::mm::mmap(start as *mut _, length, protection, flags, self, 0) }?;
        Ok(())
    }
}

/// A request to the driver.
///
/// # Safety
/// 1. [`CODE`](Self::CODE) asks for exactly this structure, whose addresses are valid as long as it lives.
pub(crate) unsafe trait Request: Sized {
    /// The number of the request.
    const CODE: u64;

    /// Asks.
    fn ask(&mut self, driver: &dyn Driver) -> io::Result<()> {
        // SAFETY: the number is this structure's (duty 1).
        unsafe { driver.ask(Self::CODE, std::ptr::from_mut(self).cast()) }
    }
}

/// `_IOC`: direction, length, group, number.
const fn code<T>(direction: u64, number: u64) -> u64 {
    direction << 30 | (size_of::<T>() as u64) << 16 | MAGIC << 8 | number
}

/// `struct sgx_enclave_create`.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Create<'a> {
    source: u64,
    lives: PhantomData<&'a Secs>,
}

impl<'a> Create<'a> {
    pub(crate) fn of(secs: &'a Secs) -> Self {
        Self { source: std::ptr::from_ref(secs) as u64, lives: PhantomData }
    }
}

// SAFETY: the number is SGX_IOC_ENCLAVE_CREATE, which reads one SECS; it is borrowed.
unsafe impl Request for Create<'_> {
    const CODE: u64 = code::<Self>(WRITE, 0);
}

/// `struct sgx_enclave_add_pages`.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct AddPages<'a> {
    source: u64,
    offset: u64,
    length: u64,
    information: u64,
    flags: u64,
    /// Bytes that were added; written by the kernel.
    count: u64,
    lives: PhantomData<&'a Frame>,
}

impl<'a> AddPages<'a> {
    pub(crate) fn of(frames: &'a [Frame], offset: u64, information: &'a SecInfo, measured: bool) -> Self {
        Self {
            source: frames.as_ptr() as u64,
            offset,
            length: size_of_val(frames) as u64,
            information: std::ptr::from_ref(information) as u64,
            flags: if measured { MEASURE } else { 0 },
            count: 0,
            lives: PhantomData,
        }
    }

    /// How many pages were added.
    pub(crate) fn pages(&self) -> usize {
        usize::try_from(self.count).unwrap_or(0) / PAGE
    }
}

// SAFETY: the number is SGX_IOC_ENCLAVE_ADD_PAGES, which reads pages and one SECINFO; they are borrowed.
unsafe impl Request for AddPages<'_> {
    const CODE: u64 = code::<Self>(READ_WRITE, 1);
}

/// `struct sgx_enclave_init`.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Init<'a> {
    sigstruct: u64,
    lives: PhantomData<&'a Sigstruct>,
}

impl<'a> Init<'a> {
    pub(crate) fn of(sigstruct: &'a Sigstruct) -> Self {
        Self { sigstruct: sigstruct.bytes().as_ptr() as u64, lives: PhantomData }
    }
}

// SAFETY: the number is SGX_IOC_ENCLAVE_INIT, which reads one SIGSTRUCT; it is borrowed.
unsafe impl Request for Init<'_> {
    const CODE: u64 = code::<Self>(WRITE, 2);
}
