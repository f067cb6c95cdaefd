//! Files that the secure world keeps in this one: encrypted and authenticated there, only stored here.
//!
//! # Source
//! OP-TEE's `core/include/optee_rpc_cmd.h` (`OPTEE_RPC_FS_…`): numbers of operations and their parameters.

use crate::supplicant::result;
use std::collections::BTreeMap;
use std::fs::{self, File, ReadDir};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

/// A folder of files for the secure world.
#[derive(Debug)]
pub(crate) struct Storage {
    root: PathBuf,
    files: BTreeMap<u64, File>,
    folders: BTreeMap<u64, ReadDir>,
    last: u64,
}

/// The number of a result.
pub(crate) type Answer<T> = Result<T, u32>;

impl Storage {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), files: BTreeMap::new(), folders: BTreeMap::new(), last: 0 }
    }

    /// Opens a file, or makes an empty one.
    pub(crate) fn open(&mut self, name: &[u8], create: bool) -> Answer<u64> {
        let path = self.path(name)?;
        let mut options = File::options();
        options.read(true).write(true);
        if create {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(|error| code(&error))?;
            }
            options.create(true).truncate(true);
        }
        let file = options.open(&path).map_err(|error| code(&error))?;
        self.last += 1;
        self.files.insert(self.last, file);
        Ok(self.last)
    }

    pub(crate) fn close(&mut self, handle: u64) -> Answer<()> {
        self.files.remove(&handle).map(drop).ok_or(result::BAD_PARAMETERS)
    }

    /// Reads at an offset; fewer bytes at the end of the file.
    pub(crate) fn read(&self, handle: u64, offset: u64, bytes: &mut [u8]) -> Answer<usize> {
        let file = self.file(handle)?;
        let mut done = 0;
        while done < bytes.len() {
            match file.read_at(&mut bytes[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(length) => done += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(code(&error)),
            }
        }
        Ok(done)
    }

    /// Writes at an offset, durable: the secure world counts on the order of its writes.
    pub(crate) fn write(&self, handle: u64, offset: u64, bytes: &[u8]) -> Answer<()> {
        let file = self.file(handle)?;
        file.write_all_at(bytes, offset).and_then(|()| file.sync_data()).map_err(|error| code(&error))
    }

    pub(crate) fn truncate(&self, handle: u64, length: u64) -> Answer<()> {
        self.file(handle)?.set_len(length).map_err(|error| code(&error))
    }

    pub(crate) fn remove(&self, name: &[u8]) -> Answer<()> {
        fs::remove_file(self.path(name)?).map_err(|error| code(&error))
    }

    /// Renames a file; without `overwrite` not onto another.
    pub(crate) fn rename(&self, old: &[u8], new: &[u8], overwrite: bool) -> Answer<()> {
        let (old, new) = (self.path(old)?, self.path(new)?);
        if !overwrite && new.exists() {
            return Err(result::ACCESS_CONFLICT);
        }
        if let Some(folder) = new.parent() {
            fs::create_dir_all(folder).map_err(|error| code(&error))?;
        }
        fs::rename(old, new).map_err(|error| code(&error))
    }

    pub(crate) fn open_folder(&mut self, name: &[u8]) -> Answer<u64> {
        let entries = fs::read_dir(self.path(name)?).map_err(|error| code(&error))?;
        self.last += 1;
        self.folders.insert(self.last, entries);
        Ok(self.last)
    }

    pub(crate) fn close_folder(&mut self, handle: u64) -> Answer<()> {
        self.folders.remove(&handle).map(drop).ok_or(result::BAD_PARAMETERS)
    }

    /// The name of the next entry.
    pub(crate) fn next_entry(&mut self, handle: u64) -> Answer<Vec<u8>> {
        let entries = self.folders.get_mut(&handle).ok_or(result::BAD_PARAMETERS)?;
        let entry = entries.next().ok_or(result::ITEM_NOT_FOUND)?.map_err(|error| code(&error))?;
        Ok(entry.file_name().into_encoded_bytes())
    }

    fn file(&self, handle: u64) -> Answer<&File> {
        self.files.get(&handle).ok_or(result::BAD_PARAMETERS)
    }

    /// The path of a file, inside the folder whatever its name says.
    fn path(&self, name: &[u8]) -> Answer<PathBuf> {
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let name = std::str::from_utf8(name).map_err(|_| result::BAD_PARAMETERS)?;
        let parts = Path::new(name.trim_start_matches('/'));
        if parts.as_os_str().is_empty() || !parts.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(result::BAD_PARAMETERS);
        }
        Ok(self.root.join(parts))
    }
}

fn code(error: &io::Error) -> u32 {
    match error.kind() {
        io::ErrorKind::NotFound => result::ITEM_NOT_FOUND,
        io::ErrorKind::StorageFull => result::NO_SPACE,
        _ => result::GENERIC,
    }
}
