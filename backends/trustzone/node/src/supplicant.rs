//! The supplicant: serves what the secure world asks of the normal one. For machines whose system has none.
//!
//! # Source
//! OP-TEE's `core/include/optee_rpc_cmd.h` and `optee_msg_supplicant.h`: requests and their parameters; Linux'
//! `drivers/tee/optee/supp.c`: one request at a time.

use crate::storage::{Answer, Storage};
use crate::tee::{Parameter, SUPPLICANT, Shared, Tee};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use veritee_runner::refuse;
use veritee_trustzone_format::Uuid;

/// Results, as the GlobalPlatform API numbers them (TEE Client API 1.0, section 4.4.2).
pub(crate) mod result {
    pub(crate) const SUCCESS: u32 = 0;
    pub(crate) const GENERIC: u32 = 0xffff_0000;
    pub(crate) const ACCESS_CONFLICT: u32 = 0xffff_0003;
    pub(crate) const BAD_PARAMETERS: u32 = 0xffff_0006;
    pub(crate) const ITEM_NOT_FOUND: u32 = 0xffff_0008;
    pub(crate) const NOT_SUPPORTED: u32 = 0xffff_000a;
    pub(crate) const OUT_OF_MEMORY: u32 = 0xffff_000c;
    pub(crate) const SHORT_BUFFER: u32 = 0xffff_0010;
    pub(crate) const NO_SPACE: u32 = 0xffff_3041;
}

/// Serves until the device goes away.
pub(crate) fn run(applications: &Path, storage: &Path) -> ExitCode {
    let tee = match Tee::open(SUPPLICANT) {
        Ok(tee) => tee,
        Err(error) => return refuse(&format!("cannot open {SUPPLICANT}: {error}")),
    };
    let mut supplicant = Supplicant {
        tee,
        memory: BTreeMap::new(),
        applications: applications.to_owned(),
        storage: Storage::new(storage),
    };
    loop {
        let served = supplicant.tee.receive().and_then(|(request, mut parameters)| {
            let result = supplicant.serve(request, &mut parameters).err().unwrap_or(result::SUCCESS);
            supplicant.tee.answer(result, &parameters)
        });
        if let Err(error) = served {
            return refuse(&format!("the secure world is gone: {error}"));
        }
    }
}

struct Supplicant {
    tee: Tee,
    /// Memory that the secure world asked for, by its id.
    memory: BTreeMap<u64, Shared>,
    applications: PathBuf,
    storage: Storage,
}

impl Supplicant {
    fn serve(&mut self, request: u32, parameters: &mut [Parameter]) -> Answer<()> {
        match request {
            LOAD_APPLICATION => self.load(parameters),
            FILES => self.files(parameters),
            ALLOCATE => self.allocate(parameters),
            FREE => self.free(parameters),
            // A replay-protected partition, sockets, profiling: there are none here.
            _ => Err(result::NOT_SUPPORTED),
        }
    }

    /// A name in two numbers, memory out: the application's file, or only its length when the memory is too short.
    fn load(&mut self, parameters: &mut [Parameter]) -> Answer<()> {
        let [name, place, ..] = parameters else { return Err(result::BAD_PARAMETERS) };
        let mut uuid = [0; 16];
        uuid[..8].copy_from_slice(&name.a.to_ne_bytes());
        uuid[8..].copy_from_slice(&name.b.to_ne_bytes());
        let path = self.applications.join(format!("{}.ta", Uuid(uuid)));
        let bytes = fs::read(path).map_err(|_| result::ITEM_NOT_FOUND)?;
        if place.b >= bytes.len() as u64 {
            self.put(place, &bytes)?;
        }
        place.b = bytes.len() as u64;
        Ok(())
    }

    fn allocate(&mut self, parameters: &mut [Parameter]) -> Answer<()> {
        let value = parameters.first_mut().ok_or(result::BAD_PARAMETERS)?;
        let length = usize::try_from(value.b).map_err(|_| result::OUT_OF_MEMORY)?;
        if length > MEMORY_BYTES_MAX {
            return Err(result::OUT_OF_MEMORY);
        }
        let shared = self.tee.share(length).map_err(|_| result::OUT_OF_MEMORY)?;
        value.c = shared.id.into();
        self.memory.insert(shared.id.into(), shared);
        Ok(())
    }

    fn free(&mut self, parameters: &mut [Parameter]) -> Answer<()> {
        let value = parameters.first().ok_or(result::BAD_PARAMETERS)?;
        self.memory.remove(&value.b).map(drop).ok_or(result::BAD_PARAMETERS)
    }

    fn files(&mut self, parameters: &mut [Parameter]) -> Answer<()> {
        let (operation, rest) = parameters.split_first_mut().ok_or(result::BAD_PARAMETERS)?;
        let (number, handle, third) = (operation.a, operation.b, operation.c);
        match (number, rest) {
            (OPEN | CREATE, [name, opened, ..]) => {
                opened.a = self.storage.open(&self.take(name)?, number == CREATE)?;
            }
            (CLOSE, _) => self.storage.close(handle)?,
            (READ, [place, ..]) => {
                let length = usize::try_from(place.b).ok().filter(|length| *length <= MEMORY_BYTES_MAX);
                let mut bytes = vec![0; length.ok_or(result::OUT_OF_MEMORY)?];
                let done = self.storage.read(handle, third, &mut bytes)?;
                self.put(place, &bytes[..done])?;
                place.b = done as u64;
            }
            (WRITE, [place, ..]) => self.storage.write(handle, third, &self.take(place)?)?,
            (TRUNCATE, _) => self.storage.truncate(handle, third)?,
            (REMOVE, [name, ..]) => self.storage.remove(&self.take(name)?)?,
            (RENAME, [old, new, ..]) => self.storage.rename(&self.take(old)?, &self.take(new)?, handle != 0)?,
            (OPEN_FOLDER, [name, opened, ..]) => opened.a = self.storage.open_folder(&self.take(name)?)?,
            (CLOSE_FOLDER, _) => self.storage.close_folder(handle)?,
            (READ_FOLDER, [place, ..]) => {
                let mut name = self.storage.next_entry(handle)?;
                name.push(0);
                if name.len() as u64 > place.b {
                    return Err(result::SHORT_BUFFER);
                }
                self.put(place, &name)?;
                place.b = name.len() as u64;
            }
            _ => return Err(result::BAD_PARAMETERS),
        }
        Ok(())
    }

    /// What lies in the memory of a parameter.
    fn take(&self, place: &Parameter) -> Answer<Vec<u8>> {
        let shared = self.memory.get(&place.c).ok_or(result::BAD_PARAMETERS)?;
        let [offset, length] = [place.a, place.b].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        let mut bytes = vec![0; Some(length).filter(|length| *length <= shared.len()).ok_or(result::BAD_PARAMETERS)?];
        if shared.read(offset, &mut bytes) { Ok(bytes) } else { Err(result::BAD_PARAMETERS) }
    }

    /// Puts bytes into the memory of a parameter.
    fn put(&mut self, place: &Parameter, bytes: &[u8]) -> Answer<()> {
        let shared = self.memory.get_mut(&place.c).ok_or(result::BAD_PARAMETERS)?;
        let offset = usize::try_from(place.a).unwrap_or(usize::MAX);
        if shared.write(offset, bytes) { Ok(()) } else { Err(result::BAD_PARAMETERS) }
    }
}

/// Most that the secure world may ask for at once.
const MEMORY_BYTES_MAX: usize = 64 << 20;

const LOAD_APPLICATION: u32 = 0;
const FILES: u32 = 2;
const ALLOCATE: u32 = 6;
const FREE: u32 = 7;

const OPEN: u64 = 0;
const CREATE: u64 = 1;
const CLOSE: u64 = 2;
const READ: u64 = 3;
const WRITE: u64 = 4;
const TRUNCATE: u64 = 5;
const REMOVE: u64 = 6;
const RENAME: u64 = 7;
const OPEN_FOLDER: u64 = 8;
const CLOSE_FOLDER: u64 = 9;
const READ_FOLDER: u64 = 10;
