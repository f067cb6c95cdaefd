//! The key that images are signed with: RSA, 3072 bits, exponent 3, as the processor wants it.
//!
//! Its public half is MRSIGNER. It says who may replace an image for what was sealed to the signer; it does not say who the
//! owner of a module is: that is the owner's key inside the measured image.

use rsa::pkcs8::der::zeroize::Zeroizing;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, Pkcs1v15Sign, RsaPrivateKey};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use veritee_platform::{BuildOrder, PlatformError};
use veritee_sgx_format::Sigstruct;
use veritee_sgx_format::sigstruct::{DIGEST_INFO, MODULUS_BYTES};
use veritee_toolchain::{bad, system};

/// A signing key.
#[derive(Clone)]
pub struct SigningKey(RsaPrivateKey);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// Makes a key. Takes seconds.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate() -> Result<Self, String> {
        let exponent = BigUint::from(3_u8);
        let key = RsaPrivateKey::new_with_exp(&mut rsa::rand_core::OsRng, 8 * MODULUS_BYTES, &exponent);
        key.map(Self).map_err(|error| format!("no signing key can be made: {error}"))
    }

    /// Reads a key from PKCS #8, PEM.
    ///
    /// # Errors
    /// When it is none, or not of the form that the processor wants.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        let key =
            RsaPrivateKey::from_pkcs8_pem(pem).map_err(|error| format!("the signing key cannot be read: {error}"))?;
        if key.size() != MODULUS_BYTES || *key.e() != BigUint::from(3_u8) {
            return Err("the signing key must be RSA with 3072 bits and exponent 3".to_owned());
        }
        Ok(Self(key))
    }

    /// The owner's key: in the file that `VERITEE_SGX_KEY` names, or else in the target folder, where it is made when it is
    /// missing.
    pub(crate) fn of_owner(order: &BuildOrder<'_>) -> Result<Self, PlatformError> {
        static MAKING: Mutex<()> = Mutex::new(());
        let _one = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        let named = std::env::var_os("VERITEE_SGX_KEY").map(PathBuf::from);
        let path = named.clone().unwrap_or_else(|| order.target.join("veritee/sgx/signing-key.pem"));
        if named.is_none() && !path.exists() {
            (order.talk)("making a key for signing SGX images");
            Self::generate()
                .and_then(|key| key.keep(&path).map_err(|error| format!("cannot keep the signing key: {error}")))
                .map_err(|reason| bad(order, &reason))?;
        }
        let pem = std::fs::read_to_string(&path).map_err(system(format!("read {}", path.display())))?;
        Self::from_pem(&pem).map_err(|reason| bad(order, &format!("{}: {reason}", path.display())))
    }

    /// The key as PKCS #8, PEM: for the file that `VERITEE_SGX_KEY` names.
    ///
    /// # Errors
    /// When the key has no such form.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, String> {
        self.0.to_pkcs8_pem(LineEnding::LF).map_err(|error| format!("the signing key cannot be written: {error}"))
    }

    /// Writes the key to a file of the user's own, unless another process was first.
    fn keep(&self, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let pem = self.to_pem()?;
        let draft = path.with_extension(std::process::id().to_string());
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(pem.as_bytes())?;
        let linked = std::fs::hard_link(&draft, path);
        std::fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Signs.
    ///
    /// # Errors
    /// When the key fails.
    pub fn sign(&self, sigstruct: &mut Sigstruct) -> Result<(), String> {
        let padding = Pkcs1v15Sign { hash_len: Some(32), prefix: DIGEST_INFO.into() };
        let modulus = self.0.n().to_bytes_be();
        // The modulus is not part of what is signed, nor are Q1 and Q2.
        let signature =
            self.0.sign(padding, &sigstruct.digest()).map_err(|error| format!("signing failed: {error}"))?;
        sigstruct.sign(&modulus, &signature);
        Ok(())
    }
}
