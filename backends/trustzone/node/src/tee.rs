//! The kernel's interface to the secure world: clients on `/dev/tee0`, the supplicant on `/dev/teepriv0`.
//!
//! # Source
//! Linux: `include/uapi/linux/tee.h`, `Documentation/staging/tee.rst` (6.1). All structures are native-endian and have no padding.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;
use veritee_trustzone_format::Uuid;

/// Device of clients.
pub const CLIENT: &str = "/dev/tee0";
/// Device of the supplicant.
pub const SUPPLICANT: &str = "/dev/teepriv0";

/// Most parameters that a call has here.
pub const PARAMETERS_MAX: usize = 8;

/// A parameter: a kind, then three numbers (`struct tee_ioctl_param`).
///
/// Values: `a`, `b`, `c` as the command means them. Memory: `a` is the offset, `b` the length, `c` the id of shared memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Parameter {
    /// What it is: `kind`.
    pub kind: u64,
    /// First number.
    pub a: u64,
    /// Second number.
    pub b: u64,
    /// Third number.
    pub c: u64,
}

/// Kinds of parameters (`TEE_IOCTL_PARAM_ATTR_TYPE_…`).
pub mod kind {
    /// Numbers in.
    pub const VALUE_IN: u64 = 1;
    /// Numbers out.
    pub const VALUE_OUT: u64 = 2;
    /// Numbers both ways.
    pub const VALUE_INOUT: u64 = 3;
    /// Memory that is read.
    pub const MEMORY_IN: u64 = 5;
    /// Memory that is written.
    pub const MEMORY_OUT: u64 = 6;
    /// Memory both ways.
    pub const MEMORY_INOUT: u64 = 7;
}

/// What the secure world answered: a result, and who made it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", words(*.result))]
pub struct Refused {
    /// The result, as the GlobalPlatform API numbers it.
    pub result: u32,
    /// Who made it: 1 the client API, 2 communication, 3 the core, 4 the application.
    pub origin: u32,
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TeeError {
    /// The kernel refused it.
    #[error("the kernel's TEE driver: {0}")]
    Kernel(#[from] io::Error),
    /// The secure world refused it.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Results in words.
///
/// # Source
/// TEE Client API 1.0, section 4.4.2; TEE Internal Core API 1.3, section 3.3.1.
fn words(result: u32) -> String {
    let known = match result {
        0xffff_0000 => "the secure world failed",
        0xffff_0001 => "access denied",
        0xffff_0003 => "it is in use, or was done before",
        0xffff_0005 => "the application's format is not the core's",
        0xffff_0006 => "bad parameters",
        0xffff_0007 => "bad state: the attestation service has no secret",
        0xffff_0008 => "the secure world finds no such application",
        0xffff_000a => "not supported",
        0xffff_000c => "out of secure memory",
        0xffff_000d => "the secure world is busy",
        0xffff_000e => "communication with the secure world failed: is there a supplicant?",
        0xffff_000f => "the signature is not by the key of this machine's provider, or the application was changed",
        0xffff_0010 => "a buffer is too short",
        TARGET_DEAD => "the trusted application died",
        _ => "refused",
    };
    format!("{known} ({result:#010x})")
}

/// The trusted application died (`TEE_ERROR_TARGET_DEAD`).
pub const TARGET_DEAD: u32 = 0xffff_3024;

/// A connection to the secure world.
#[derive(Debug)]
pub struct Tee(File);

impl Tee {
    /// Opens a device.
    ///
    /// # Errors
    /// The system's.
    pub fn open(device: &str) -> io::Result<Self> {
        Ok(Self(File::options().read(true).write(true).open(Path::new(device))?))
    }

    /// Opens a session with an application: it is loaded if need be.
    ///
    /// # Errors
    /// [`TeeError`].
    pub fn open_session(&self, application: Uuid) -> Result<u32, TeeError> {
        // struct tee_ioctl_open_session_arg: uuid 16, client 16, login, cancel id, session, result, origin, count of parameters.
        let mut argument = [0_u8; 56];
        argument[..16].copy_from_slice(&application.0);
        self.buffer(OPEN_SESSION, &mut argument)?;
        let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|byte| argument[at + byte]));
        match word(44) {
            0 => Ok(word(40)),
            result => Err(Refused { result, origin: word(48) }.into()),
        }
    }

    /// Invokes a command of an application; parameters come back as it left them.
    ///
    /// # Errors
    /// [`TeeError`].
    ///
    /// # Panics
    /// With more than [`PARAMETERS_MAX`] parameters.
    pub fn invoke(&self, session: u32, command: u32, parameters: &mut [Parameter]) -> Result<(), TeeError> {
        assert!(parameters.len() <= PARAMETERS_MAX, "calls have few parameters");
        // struct tee_ioctl_invoke_arg: command, session, cancel id, result, origin, count of parameters; then these.
        let mut argument = [0_u8; 24 + PARAMETERS_MAX * PARAMETER_BYTES];
        let used = 24 + parameters.len() * PARAMETER_BYTES;
        put(&mut argument, 0, command);
        put(&mut argument, 4, session);
        put(&mut argument, 20, count(parameters));
        write_parameters(&mut argument[24..], parameters);
        self.buffer(INVOKE, &mut argument[..used])?;
        let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|byte| argument[at + byte]));
        if word(12) != 0 {
            return Err(Refused { result: word(12), origin: word(16) }.into());
        }
        read_parameters(&argument[24..], parameters);
        Ok(())
    }

    /// Closes a session.
    pub fn close_session(&self, session: u32) {
        let mut argument = session.to_ne_bytes();
        // SAFETY: the request takes one number of this size, which lives until it returns.
        unsafe { libc::ioctl(self.0.as_raw_fd(), CLOSE_SESSION as _, argument.as_mut_ptr()) };
    }

    /// Shares memory with the secure world: pages of this process where the core takes such, else pages of the kernel's.
    ///
    /// Memory that a supplicant offers to the core must be of the first kind: the kernel (6.1) cannot describe its own to the core
    /// in an answer.
    ///
    /// # Errors
    /// The system's.
    pub fn share(&self, bytes: usize) -> io::Result<Shared> {
        let base = anonymous(bytes)?;
        // struct tee_ioctl_shm_register_data: address u64, length u64, flags u32, id i32.
        let mut argument = [0_u8; 24];
        argument[..8].copy_from_slice(&(base.as_ptr() as u64).to_ne_bytes());
        argument[8..16].copy_from_slice(&(bytes as u64).to_ne_bytes());
        match self.descriptor(REGISTER, &mut argument) {
            Ok(descriptor) => Ok(Shared { base, length: bytes, id: last_word(&argument), _descriptor: descriptor }),
            Err(_) => {
                unmap(base, bytes);
                self.allocate(bytes)
            }
        }
    }

    /// Shares memory of the kernel's.
    fn allocate(&self, bytes: usize) -> io::Result<Shared> {
        // struct tee_ioctl_shm_alloc_data: size u64, flags u32, id i32.
        let mut argument = [0_u8; 16];
        argument[..8].copy_from_slice(&(bytes as u64).to_ne_bytes());
        let descriptor = self.descriptor(ALLOCATE, &mut argument)?;
        Shared::map(descriptor, last_word(&argument), bytes)
    }

    /// A request that makes a descriptor.
    fn descriptor(&self, request: u64, argument: &mut [u8]) -> io::Result<OwnedFd> {
        // SAFETY: the request's number has the size of the structure it takes, which is the argument's; that lives until it returns.
        let descriptor = unsafe { libc::ioctl(self.0.as_raw_fd(), request as _, argument.as_mut_ptr()) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just made this descriptor for us alone.
        Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
    }

    /// Waits for a request of the secure world to its supplicant: its number and its parameters.
    ///
    /// # Errors
    /// The system's.
    pub fn receive(&self) -> io::Result<(u32, Vec<Parameter>)> {
        // struct tee_iocl_supp_recv_arg: function, count of parameters; then these.
        let mut argument = [0_u8; 8 + PARAMETERS_MAX * PARAMETER_BYTES];
        put(&mut argument, 4, PARAMETERS_MAX as u32);
        self.buffer(RECEIVE, &mut argument)?;
        let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|byte| argument[at + byte]));
        let count = usize::try_from(word(4)).unwrap_or(usize::MAX).min(PARAMETERS_MAX);
        let mut parameters = vec![Parameter::default(); count];
        read_parameters(&argument[8..], &mut parameters);
        Ok((word(0), parameters))
    }

    /// Answers the request that was received last.
    ///
    /// # Errors
    /// The system's.
    pub fn answer(&self, result: u32, parameters: &[Parameter]) -> io::Result<()> {
        // struct tee_iocl_supp_send_arg: result, count of parameters; then these.
        let mut argument = [0_u8; 8 + PARAMETERS_MAX * PARAMETER_BYTES];
        let used = 8 + parameters.len().min(PARAMETERS_MAX) * PARAMETER_BYTES;
        put(&mut argument, 0, result);
        put(&mut argument, 4, count(parameters));
        write_parameters(&mut argument[8..], parameters);
        self.buffer(ANSWER, &mut argument[..used])
    }

    /// A request whose argument is described by a pointer and a length (`struct tee_ioctl_buf_data`).
    fn buffer(&self, request: u64, argument: &mut [u8]) -> io::Result<()> {
        let mut description = [argument.as_mut_ptr() as u64, argument.len() as u64];
        loop {
            // SAFETY: the description and the buffer that it names live until the request returns; the kernel writes within them.
            let done = unsafe { libc::ioctl(self.0.as_raw_fd(), request as _, description.as_mut_ptr()) };
            if done >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

/// Memory that the secure world reads and writes too.
///
/// What is in it may change at any time: it is copied, never referred to.
#[derive(Debug)]
pub struct Shared {
    base: NonNull<u8>,
    length: usize,
    /// Its id for parameters.
    pub id: u32,
    _descriptor: OwnedFd,
}

// SAFETY: it is a range of memory like any other; all access is by copies through `&mut self` or `&self`, and the secure world's
// accesses are copies there.
unsafe impl Send for Shared {}

impl Shared {
    fn map(descriptor: OwnedFd, id: u32, length: usize) -> io::Result<Self> {
        // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing.
        let base = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                length,
                rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
                rustix::mm::MapFlags::SHARED,
                &descriptor,
                0,
            )?
        };
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at zero"))?;
        Ok(Self { base, length, id, _descriptor: descriptor })
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether it has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Copies bytes in; false, and nothing copied, when they do not fit.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> bool {
        let fits = offset.checked_add(bytes.len()).is_some_and(|end| end <= self.length);
        if fits {
            // SAFETY: within the mapping, as just checked; the source is private memory.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.as_ptr().add(offset), bytes.len()) };
        }
        fits
    }

    /// Copies bytes out; false, and nothing copied, when so many are not there.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> bool {
        let fits = offset.checked_add(bytes.len()).is_some_and(|end| end <= self.length);
        if fits {
            // SAFETY: within the mapping, as just checked; the destination is private memory.
            unsafe { std::ptr::copy_nonoverlapping(self.base.as_ptr().add(offset), bytes.as_mut_ptr(), bytes.len()) };
        }
        fits
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        unmap(self.base, self.length);
    }
}

/// Fresh pages of this process.
fn anonymous(length: usize) -> io::Result<NonNull<u8>> {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing.
    let base =
        unsafe { mmap_anonymous(std::ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)? };
    NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at zero"))
}

fn unmap(base: NonNull<u8>, length: usize) {
    // SAFETY: only owners of a mapping call this, when nothing refers to it any more.
    _ = unsafe { rustix::mm::munmap(base.as_ptr().cast(), length) };
}

/// The last number of an argument: where requests put the id of memory.
fn last_word(argument: &[u8]) -> u32 {
    argument.last_chunk().map_or(0, |word| u32::from_ne_bytes(*word))
}

fn put(argument: &mut [u8], at: usize, word: u32) {
    argument[at..at + 4].copy_from_slice(&word.to_ne_bytes());
}

fn count(parameters: &[Parameter]) -> u32 {
    u32::try_from(parameters.len().min(PARAMETERS_MAX)).unwrap_or(0)
}

fn write_parameters(argument: &mut [u8], parameters: &[Parameter]) {
    for (place, parameter) in argument.chunks_exact_mut(PARAMETER_BYTES).zip(parameters) {
        let words = [parameter.kind, parameter.a, parameter.b, parameter.c];
        place.copy_from_slice(&words.map(u64::to_ne_bytes).concat());
    }
}

fn read_parameters(argument: &[u8], parameters: &mut [Parameter]) {
    for (place, parameter) in argument.chunks_exact(PARAMETER_BYTES).zip(parameters) {
        let word = |index: usize| u64::from_ne_bytes(std::array::from_fn(|byte| place[8 * index + byte]));
        *parameter = Parameter { kind: word(0), a: word(1), b: word(2), c: word(3) };
    }
}

const PARAMETER_BYTES: usize = size_of::<Parameter>();

/// Numbers of requests: direction, size of the argument, `0xa4`, number (`asm-generic/ioctl.h`).
const fn request(direction: u64, size: u64, number: u64) -> u64 {
    direction << 30 | size << 16 | 0xa4 << 8 | number
}
const READ: u64 = 2;
const READ_WRITE: u64 = 3;
const ALLOCATE: u64 = request(READ_WRITE, 16, 1);
const OPEN_SESSION: u64 = request(READ, 16, 2);
const INVOKE: u64 = request(READ, 16, 3);
const CLOSE_SESSION: u64 = request(READ, 4, 5);
const RECEIVE: u64 = request(READ, 16, 6);
const ANSWER: u64 = request(READ, 16, 7);
const REGISTER: u64 = request(READ_WRITE, 24, 9);
