//! The platform service on hardware: quotes from AESM, collateral from a file.

use super::aesm::{Aesm, PATIENCE};
use crate::platform::identity::{REPORT_BYTES, TARGET_BYTES};
use crate::service::{Answers, say};
use std::io;
use std::path::{Path, PathBuf};

/// Collateral for quotes of this machine, in the platform's folder: the provider puts it there, and keeps it up to date.
const COLLATERAL: &str = "collateral.json";
/// A quote of this machine, in the same folder: collateral is got with it.
const QUOTE: &str = "quote.bin";

/// What answers for an enclave on hardware. Reports and keys are the processor's own affair.
#[derive(Debug)]
pub(crate) struct Quoting {
    aesm: Aesm,
    folder: PathBuf,
}

impl Quoting {
    /// Asks AESM whether it makes quotes, before any enclave needs one.
    pub(crate) fn open(socket: &Path, folder: &Path) -> Result<Self, String> {
        let aesm = Aesm::open(socket, PATIENCE).map_err(|error| error.to_string())?;
        Ok(Self { aesm, folder: folder.to_owned() })
    }

    /// Keeps a quote for who gets collateral with it. Without one there is nothing to get, which is not this enclave's fault.
    fn keep(&self, quote: &[u8]) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        std::fs::write(self.folder.join(QUOTE), quote)
    }
}

impl Answers for Quoting {
    fn target(&self) -> [u8; TARGET_BYTES] {
        self.aesm.target()
    }

    fn quote(&self, report: &[u8; REPORT_BYTES]) -> Option<Vec<u8>> {
        match self.aesm.quote(report) {
            Ok(quote) => {
                if let Err(error) = self.keep(&quote) {
                    say(&format!("the quote cannot be kept: {error}"));
                }
                Some(quote)
            }
            Err(error) => {
                say(&error.to_string());
                None
            }
        }
    }

    /// Nothing when there is no file: whoever verifies the quote says so.
    fn collateral(&mut self) -> io::Result<String> {
        match std::fs::read_to_string(self.folder.join(COLLATERAL)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read,
        }
    }
}
