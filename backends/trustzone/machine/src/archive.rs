//! Archives in the `newc` format of cpio: what Linux takes as its first file system.
//!
//! # Source
//! Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`.

/// An archive that is being written.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const SECRET: u32 = 0o100_600;

impl Archive {
    /// Adds a folder. Its parent must be there.
    pub fn folder(&mut self, path: &str) {
        self.entry(path, FOLDER, &[]);
    }

    /// Adds a program.
    pub fn program(&mut self, path: &str, bytes: &[u8]) {
        self.entry(path, PROGRAM, bytes);
    }

    /// Adds a file that only its owner reads.
    pub fn file(&mut self, path: &str, bytes: &[u8]) {
        self.entry(path, SECRET, bytes);
    }

    /// The whole archive. Archives may be put one behind the other.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, contents: &[u8]) {
        self.entries += 1;
        let length = u32::try_from(contents.len()).expect("files of an archive are smaller than 4 GiB");
        let name = u32::try_from(path.len() + 1).expect("paths are short");
        // Inode, mode, owner, group, links, time, length, device and its kind twice, length of the name, checksum.
        let fields = [self.entries, mode, 0, 0, 1, 0, length, 0, 0, 0, 0, name, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08X}").bytes());
        }
        self.bytes.extend(path.bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend(contents);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests;
