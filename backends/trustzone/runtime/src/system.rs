//! What a trusted application asks of its core, in safe functions.

use crate::parameters::RawParameters;
use crate::syscall::{call, number};
use veritee_trustzone_format::{Uuid, result};

/// The result of a system call that failed, as the GlobalPlatform API numbers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failed(pub u32);

pub(crate) const fn checked(result: u32) -> Result<(), Failed> {
    if result == result::SUCCESS { Ok(()) } else { Err(Failed(result)) }
}

/// Ends an entry.
pub fn finish(result: u32) -> ! {
    // SAFETY: the call takes one number. It does not come back.
    unsafe { call(number::RETURN, [result as usize, 0, 0, 0, 0, 0, 0, 0]) };
    die()
}

/// Ends the application and everything that it keeps: what a panic comes to.
pub fn die() -> ! {
    loop {
        // SAFETY: the call takes a code and no information. It does not come back.
        unsafe { call(number::PANIC, [PANICKED, 0, 0, 0, 0, 0, 0, 0]) };
    }
}

/// For the core's log.
const PANICKED: usize = 0x5645_5249;

/// Fills `bytes` with random ones: `TEE_GenerateRandom`.
///
/// # Errors
/// [`Failed`] when the core has none.
pub fn random(bytes: &mut [u8]) -> Result<(), Failed> {
    // SAFETY: the core writes as many bytes as said to memory that is ours.
    checked(unsafe { call(number::RANDOM, [bytes.as_mut_ptr() as usize, bytes.len(), 0, 0, 0, 0, 0, 0]) })
}

/// A session with another trusted application. Closed when it is dropped.
#[derive(Debug)]
pub struct Session(u32);

impl Session {
    /// Opens one.
    ///
    /// # Errors
    /// [`Failed`] when the application cannot be had, or refuses.
    pub fn open(uuid: Uuid) -> Result<Self, Failed> {
        let name = uuid.to_tee();
        let mut nothing = RawParameters::default();
        let (mut session, mut origin) = (0_u32, 0_u32);
        let arguments = [
            name.as_ptr() as usize,
            FOR_EVER,
            &raw mut nothing as usize,
            &raw mut session as usize,
            &raw mut origin as usize,
            0,
            0,
            0,
        ];
        // SAFETY: a UUID, parameters, and two places for numbers, all of them on this stack.
        checked(unsafe { call(number::OPEN_SESSION, arguments) })?;
        Ok(Self(session))
    }

    /// Invokes a command. The memory that parameters name must be this application's: see [`RawParameters::write`].
    pub(crate) fn invoke(&self, command: u32, parameters: &mut RawParameters) -> Result<(), Failed> {
        let mut origin = 0_u32;
        let arguments = [
            self.0 as usize,
            FOR_EVER,
            command as usize,
            core::ptr::from_mut(parameters) as usize,
            &raw mut origin as usize,
            0,
            0,
            0,
        ];
        // SAFETY: parameters whose memory is borrowed as long as they live, and a place for a number.
        checked(unsafe { call(number::INVOKE, arguments) })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: the number of a session that is open.
        unsafe { call(number::CLOSE_SESSION, [self.0 as usize, 0, 0, 0, 0, 0, 0, 0]) };
    }
}

/// No timeout.
const FOR_EVER: usize = 0xffff_ffff;

/// The trusted application that calls; `None` when the caller is in the normal world.
///
/// # Trust
/// The core's word. It knows the caller's UUID, and nothing else of him.
///
/// # Errors
/// [`Failed`] when the core does not tell.
pub fn caller() -> Result<Option<Uuid>, Failed> {
    const CURRENT_CLIENT: usize = 0xffff_fffe;
    const NAME: &[u8] = b"gpd.client.identity\0";
    /// `TEE_LOGIN_TRUSTED_APP`.
    const TRUSTED: u32 = 0xf000_0000;
    let mut index = 0_u32;
    let arguments = [CURRENT_CLIENT, NAME.as_ptr() as usize, NAME.len(), &raw mut index as usize, 0, 0, 0, 0];
    // SAFETY: a name with its length, and a place for a number.
    checked(unsafe { call(number::PROPERTY_INDEX, arguments) })?;
    let (mut identity, mut length) = ([0_u8; 20], 20_u32);
    let arguments =
        [CURRENT_CLIENT, index as usize, 0, 0, identity.as_mut_ptr() as usize, &raw mut length as usize, 0, 0];
    // SAFETY: a place for an identity with its length; neither the name nor the type is wanted.
    checked(unsafe { call(number::GET_PROPERTY, arguments) })?;
    let (login, uuid) = identity.split_first_chunk().ok_or(Failed(result::GENERIC))?;
    let uuid = uuid.try_into().map_err(|_| Failed(result::GENERIC))?;
    Ok((length == 20 && u32::from_le_bytes(*login) == TRUSTED).then_some(Uuid::from_tee(uuid)))
}

/// The application's own storage: encrypted and authenticated by the core, kept by the normal world, which can take it
/// away or bring an old one back.
const STORAGE_PRIVATE: usize = 1;
const FLAG_READ: usize = 1;

/// Reads an object of the application's storage into `bytes`, which has its length.
///
/// # Errors
/// [`Failed`] with `ITEM_NOT_FOUND` when there is none; with anything else when it cannot be read, or has another length.
pub fn read_object(name: &[u8], bytes: &mut [u8]) -> Result<(), Failed> {
    let mut object = 0_u32;
    let arguments = [STORAGE_PRIVATE, name.as_ptr() as usize, name.len(), FLAG_READ, &raw mut object as usize, 0, 0, 0];
    // SAFETY: a name with its length, and a place for a number.
    checked(unsafe { call(number::OPEN_OBJECT, arguments) })?;
    let mut count = 0_u64;
    let arguments = [object as usize, bytes.as_mut_ptr() as usize, bytes.len(), &raw mut count as usize, 0, 0, 0, 0];
    // SAFETY: an open object, a place with its length, and one for a number.
    let read = checked(unsafe { call(number::READ_OBJECT, arguments) });
    close_object(object);
    read?;
    if count == bytes.len() as u64 { Ok(()) } else { Err(Failed(result::GENERIC)) }
}

/// Writes a new object of the application's storage.
///
/// # Errors
/// [`Failed`] with `ACCESS_CONFLICT` when there is one of this name; with anything else when it cannot be written.
pub fn create_object(name: &[u8], bytes: &[u8]) -> Result<(), Failed> {
    let mut object = 0_u32;
    let arguments = [
        STORAGE_PRIVATE,
        name.as_ptr() as usize,
        name.len(),
        FLAG_READ,
        0,
        bytes.as_ptr() as usize,
        bytes.len(),
        &raw mut object as usize,
    ];
    // SAFETY: a name and contents with their lengths, no attributes, and a place for a number.
    checked(unsafe { call(number::CREATE_OBJECT, arguments) })?;
    close_object(object);
    Ok(())
}

fn close_object(object: u32) {
    // SAFETY: the number of an object that is open.
    unsafe { call(number::CLOSE_OBJECT, [object as usize, 0, 0, 0, 0, 0, 0, 0]) };
}
