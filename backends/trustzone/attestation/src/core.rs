//! What the service asks of an OP-TEE core: who calls, and its storage.
#![expect(unsafe_code, reason = "system calls")]

use crate::Surroundings;
use veritee_seal::Secret;
use veritee_trustzone_format::{Uuid, result};
use veritee_trustzone_runtime::call;
use veritee_trustzone_secret::SECRET_BYTES;
use zeroize::Zeroize;

/// An OP-TEE core.
#[derive(Debug)]
pub struct Core;

// Numbers of system calls: see `veritee_trustzone_runtime::call`.
const GET_PROPERTY: usize = 3;
const PROPERTY_INDEX: usize = 4;
const CLOSE_OBJECT: usize = 28;
const OPEN_OBJECT: usize = 41;
const CREATE_OBJECT: usize = 42;
const READ_OBJECT: usize = 50;

/// The secret's name in storage.
const OBJECT: &[u8] = b"node secret 1";
/// The application's own storage: encrypted and authenticated by the core, kept by the normal world, which can take it
/// away or bring an old one back.
const STORAGE_PRIVATE: usize = 1;
const FLAG_READ: usize = 1;
/// There is no such object.
const ITEM_NOT_FOUND: u32 = 0xffff_0008;

impl Surroundings for Core {
    /// # Trust
    /// The core's word. It knows the caller's UUID, and nothing else of him.
    fn caller(&self) -> Result<Option<Uuid>, u32> {
        const CURRENT_CLIENT: usize = 0xffff_fffe;
        const NAME: &[u8] = b"gpd.client.identity\0";
        /// `TEE_LOGIN_TRUSTED_APP`.
        const TRUSTED: u32 = 0xf000_0000;
        let mut index = 0_u32;
        let arguments = [CURRENT_CLIENT, NAME.as_ptr() as usize, NAME.len(), &raw mut index as usize];
        // SAFETY: a name with its length, and a place for a number.
        unsafe { call(PROPERTY_INDEX, arguments) }?;
        let (mut identity, mut length) = ([0_u8; 20], 20_u32);
        let arguments =
            [CURRENT_CLIENT, index as usize, 0, 0, identity.as_mut_ptr() as usize, &raw mut length as usize];
        // SAFETY: a place for an identity with its length; neither the name nor the type is wanted.
        unsafe { call(GET_PROPERTY, arguments) }?;
        let (login, uuid) = identity.split_first_chunk().ok_or(result::GENERIC)?;
        let uuid = uuid.try_into().map_err(|_| result::GENERIC)?;
        Ok((length == 20 && u32::from_le_bytes(*login) == TRUSTED).then_some(Uuid::from_tee(uuid)))
    }

    fn stored(&self) -> Result<Option<Secret>, u32> {
        let mut bytes = [0; SECRET_BYTES];
        let read = read_object(OBJECT, &mut bytes);
        let secret = Secret::new(bytes);
        bytes.zeroize();
        match read {
            Ok(()) => Ok(Some(secret)),
            Err(ITEM_NOT_FOUND) => Ok(None),
            Err(failed) => Err(failed),
        }
    }

    fn store(&mut self, secret: &Secret) -> Result<(), u32> {
        let (mut object, bytes) = (0_u32, secret.expose());
        let (name, contents) = (OBJECT.as_ptr() as usize, bytes.as_ptr() as usize);
        let place = &raw mut object as usize;
        let arguments = [STORAGE_PRIVATE, name, OBJECT.len(), FLAG_READ, 0, contents, bytes.len(), place];
        // SAFETY: a name and contents with their lengths, no attributes, and a place for a number. An object of this name is
        // not replaced.
        unsafe { call(CREATE_OBJECT, arguments) }?;
        close_object(object)
    }
}

/// Reads an object of the application's storage into `bytes`, which has its length.
fn read_object(name: &[u8], bytes: &mut [u8]) -> Result<(), u32> {
    let mut object = 0_u32;
    let arguments = [STORAGE_PRIVATE, name.as_ptr() as usize, name.len(), FLAG_READ, &raw mut object as usize];
    // SAFETY: a name with its length, and a place for a number.
    unsafe { call(OPEN_OBJECT, arguments) }?;
    let mut count = 0_u64;
    let arguments = [object as usize, bytes.as_mut_ptr() as usize, bytes.len(), &raw mut count as usize];
    // SAFETY: an open object, a place with its length, and one for a number.
    let read = unsafe { call(READ_OBJECT, arguments) };
    close_object(object)?;
    read?;
    if count == bytes.len() as u64 { Ok(()) } else { Err(result::GENERIC) }
}

fn close_object(object: u32) -> Result<(), u32> {
    // SAFETY: the number of an object that is open.
    unsafe { call(CLOSE_OBJECT, [object as usize]) }
}
