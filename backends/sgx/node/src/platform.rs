//! A simulated SGX platform: what the processor and Intel's services hold on hardware.
//!
//! [`identity`] are an enclave's claims and the report over them; [`pki`] is the chain from a root of the platform's own to its
//! attestation key, with the collateral that a verifier needs; [`quote`] joins both to a quote of Intel's form.
//!
//! 1. The root is generated, so nobody takes such a quote for one of hardware: a verifier must be told to accept it.
//! 2. Everything else is what hardware makes, bit for bit in its form, so that the verifier of hardware is what is tested.
//! 3. These keys are in no process that runs an enclave.

pub mod identity;
pub mod pki;
pub mod quote;

use pki::{Chain, Terms};
use serde::{Deserialize, Serialize};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use time::OffsetDateTime;

/// Name of the file with everything of a platform.
const FILE: &str = "platform.json";

/// A platform. Its debug form shows no keys.
#[derive(Serialize, Deserialize)]
pub struct Simulated {
    /// Stands for the secret that is fused into a processor.
    pub(crate) fused: [u8; 16],
    /// KEYID of reports.
    pub(crate) report_key_id: [u8; 32],
    /// Keys and certificates.
    pub(crate) chain: Chain,
}

impl std::fmt::Debug for Simulated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Simulated")
    }
}

impl Simulated {
    /// Makes a platform.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate() -> io::Result<Self> {
        let chain = Chain::generate(OffsetDateTime::now_utc()).map_err(io::Error::other)?;
        Ok(Self { fused: random()?, report_key_id: random()?, chain })
    }

    /// The platform of a folder; made, with the folder, if it is missing. Processes that come at the same time agree on one.
    ///
    /// # Errors
    /// The system's; `InvalidData` when the file is none of ours.
    pub fn of_folder(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        if !path.exists() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            let draft = folder.join(format!("{FILE}.{}", std::process::id()));
            let mut file =
                std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            file.write_all(serde_json::to_string(&Self::generate()?)?.as_bytes())?;
            file.sync_all()?;
            let linked = std::fs::hard_link(&draft, &path);
            std::fs::remove_file(&draft)?;
            linked.or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })?;
        }
        serde_json::from_slice(&std::fs::read(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// The collateral that a verifier needs now, as JSON.
    ///
    /// # Errors
    /// When a key fails.
    pub fn collateral(&self) -> io::Result<String> {
        self.collateral_on(&Terms::now())
    }

    /// The same, on other terms: for tests of verifiers.
    ///
    /// # Errors
    /// When a key fails.
    pub fn collateral_on(&self, terms: &Terms) -> io::Result<String> {
        self.chain.collateral(terms).map_err(io::Error::other)
    }

    /// The root certificate, DER.
    #[must_use]
    pub fn root(&self) -> &[u8] {
        self.chain.root()
    }
}

/// Random bytes.
fn random<const N: usize>() -> io::Result<[u8; N]> {
    use ring::rand::SecureRandom as _;
    let mut bytes = [0; N];
    ring::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no randomness"))?;
    Ok(bytes)
}
