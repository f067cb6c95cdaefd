//! Who somebody is: an Ed25519 key pair in a file that only its holder can read.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use veritee_node_protocol::IdentityKey;
use zeroize::Zeroizing;

/// An Ed25519 key pair. The secret half is wiped from memory when this is dropped, and never shown.
#[derive(Clone)]
pub struct Identity {
    key: SigningKey,
}

/// Why an identity could not be made, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The operating system gave no randomness.
    #[error("the system gives no randomness")]
    Randomness,
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Others than its owner can read the file.
    #[error("{} is open to others (mode {mode:o}): run `chmod 600` on it, or better make a new identity", path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file does not hold an identity.
    #[error("{} does not hold an identity", path.display())]
    NotAnIdentity {
        /// The file.
        path: PathBuf,
    },
}

impl Identity {
    /// Makes a new key pair from the system's randomness.
    ///
    /// # Errors
    /// [`IdentityError::Randomness`] when the system gives none.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|_| IdentityError::Randomness)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key pair of a secret seed (RFC 8032).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self { key: SigningKey::from_bytes(seed) }
    }

    /// Reads a file that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`IdentityError::File`] when it cannot be read, [`IdentityError::OpenToOthers`] when its mode gives anything to
    /// others, [`IdentityError::NotAnIdentity`] when it holds something else.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let file_error = |action| move |source| IdentityError::File { action, path: path.to_owned(), source };
        let mut file = File::open(path).map_err(file_error("open"))?;
        let mode = file.metadata().map_err(file_error("inspect"))?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(IdentityError::OpenToOthers { path: path.to_owned(), mode });
        }
        let mut bytes = Zeroizing::new(vec![0; FILE_BYTES + 1]);
        let mut length = 0;
        while length < bytes.len() {
            match file.read(&mut bytes[length..]).map_err(file_error("read"))? {
                0 => break,
                more => length += more,
            }
        }
        let seed =
            parse_file(&bytes[..length]).ok_or_else(|| IdentityError::NotAnIdentity { path: path.to_owned() })?;
        Ok(Self::from_seed(&seed))
    }

    /// Writes the key pair to a new file with mode 0600, synced together with its folder. Never overwrites.
    ///
    /// # Errors
    /// [`IdentityError::File`] when the file exists or cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), IdentityError> {
        let file_error = |action| move |source| IdentityError::File { action, path: path.to_owned(), source };
        let mut text = Zeroizing::new(Vec::with_capacity(FILE_BYTES));
        text.extend_from_slice(FILE_PREFIX);
        for byte in self.seed().iter() {
            text.extend_from_slice(&hex_digits(*byte));
        }
        text.push(b'\n');
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(file_error("create"))?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(file_error("write"))?;
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(file_error("sync the folder of"))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> IdentityKey {
        self.key.verifying_key().to_bytes()
    }

    /// The public half as people see it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.public())
    }

    /// Signs bytes (RFC 8032). The caller sees to it that they begin with a label.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.key.sign(bytes).to_bytes()
    }

    /// The secret seed, for who must hand it to another library. Wiped when dropped.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fingerprint().fmt(f)
    }
}

/// An identity as people compare it: the public key in 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fingerprint(pub IdentityKey);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Whether somebody signed a message. Weak keys, which anybody could sign for, sign nothing.
#[must_use]
pub fn has_signed(who: &IdentityKey, message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(who).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

/// The text is not 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a fingerprint has 64 hexadecimal digits")]
pub struct NotAFingerprint;

/// Reads a fingerprint. White space and colons between digits are ignored.
///
/// # Errors
/// [`NotAFingerprint`] when the text is anything but 64 hexadecimal digits.
pub fn parse_fingerprint(text: &str) -> Result<IdentityKey, NotAFingerprint> {
    parse_hex(text.as_bytes()).ok_or(NotAFingerprint)
}

/// Reads exactly `LENGTH` bytes of hexadecimal digits, ignoring white space, colons and hyphens.
pub(crate) fn parse_hex<const LENGTH: usize>(text: &[u8]) -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    let mut digits = 0;
    for &character in text {
        if character.is_ascii_whitespace() || character == b':' || character == b'-' {
            continue;
        }
        let value = u8::try_from(char::from(character).to_digit(16)?).ok()?;
        let byte = bytes.get_mut(digits / 2)?;
        *byte = (*byte << 4) | value;
        digits += 1;
    }
    (digits == 2 * LENGTH).then_some(bytes)
}

pub(crate) fn hex_digits(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

fn parse_file(bytes: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let digits = bytes.strip_prefix(FILE_PREFIX)?.strip_suffix(b"\n")?;
    parse_hex(digits).map(Zeroizing::new)
}

const FILE_PREFIX: &[u8] = b"veritee-identity-1 ";
const FILE_BYTES: usize = FILE_PREFIX.len() + 64 + 1;
