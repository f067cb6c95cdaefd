//! The signature that an OP-TEE core wants of a trusted application.
//!
//! | offset | length | field |
//! |---|---|---|
//! | 0 | 4 | magic `HSTO` |
//! | 4 | 4 | kind of image: 1 |
//! | 8 | 4 | length of the program |
//! | 12 | 4 | algorithm: RSASSA-PSS with SHA-256 and MGF1 |
//! | 16 | 2 | length of the hash: 32 |
//! | 18 | 2 | length of the signature |
//! | 20 | 32 | hash over this header's first 20 bytes, UUID, version and program |
//! | 52 | n | signature over the hash |
//! | 52+n | 16 | UUID, in the order of its text |
//! | 68+n | 4 | version: 0 |
//! | 72+n | | the program |
//!
//! # Source
//! OP-TEE's `core/include/signed_hdr.h` (`struct shdr`, `struct shdr_bootstrap_ta`).

use getrandom::SysRng;
use getrandom::rand_core::{TryCryptoRng, TryRng, UnwrapErr};
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{PrivateKey, Pss, PublicKey};
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use veritee_trustzone_format::Uuid;
use zeroize::Zeroizing;

/// A provider's key for trusted applications: RSA of a length that the core's own key has.
#[derive(Clone)]
pub struct SigningKey(PrivateKey);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// The key is none, or does not sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadKey;

const MAGIC: u32 = 0x4f54_5348;
const BOOTSTRAP: u32 = 1;
const RSASSA_PSS_SHA256: u32 = 0x7041_4930;
const HASH_BYTES: u16 = 32;
const SHDR_BYTES: usize = 20;

impl SigningKey {
    /// Draws a new key of so many bits.
    ///
    /// # Errors
    /// [`BadKey`] for lengths that nobody should use.
    ///
    /// # Panics
    /// When the system has no randomness.
    pub fn generate(bits: usize) -> Result<Self, BadKey> {
        if !(2048..=4096).contains(&bits) {
            return Err(BadKey);
        }
        PrivateKey::new(&mut UnwrapErr(SysRng), bits).map(Self).map_err(|_| BadKey)
    }

    /// Reads a key in PKCS #8, PEM.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn from_pem(pem: &str) -> Result<Self, BadKey> {
        PrivateKey::from_pkcs8_pem(pem).map(Self).map_err(|_| BadKey)
    }

    /// The key in PKCS #8, PEM. Secret.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn to_pem(&self) -> Result<Zeroizing<String>, BadKey> {
        self.0.to_pkcs8_pem(rsa::pkcs8::LineEnding::LF).map_err(|_| BadKey)
    }

    /// Its public half, as a core keeps it: the modulus, most significant byte first. The exponent is 65537.
    #[must_use]
    pub fn modulus(&self) -> Vec<u8> {
        self.0.n().to_be_bytes_trimmed_vartime().into_vec()
    }

    /// Its public half as PEM.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn public_pem(&self) -> Result<String, BadKey> {
        PublicKey::from(&self.0).to_public_key_pem(rsa::pkcs8::LineEnding::LF).map_err(|_| BadKey)
    }

    /// Signs a program under a name. The same program under the same name gives the same bytes: an image that is signed again is not
    /// another image.
    ///
    /// # Errors
    /// [`BadKey`] when the key does not sign, or the program is too long.
    pub fn sign(&self, uuid: Uuid, program: &[u8]) -> Result<Vec<u8>, BadKey> {
        let mut signed = Vec::with_capacity(program.len() + 1024);
        let length = u32::try_from(program.len()).map_err(|_| BadKey)?;
        for word in [MAGIC, BOOTSTRAP, length, RSASSA_PSS_SHA256] {
            signed.extend_from_slice(&word.to_le_bytes());
        }
        let signature_bytes = u16::try_from(self.0.size()).map_err(|_| BadKey)?;
        signed.extend_from_slice(&HASH_BYTES.to_le_bytes());
        signed.extend_from_slice(&signature_bytes.to_le_bytes());
        let version = 0_u32.to_le_bytes();
        let front = signed.get(..SHDR_BYTES).ok_or(BadKey)?;
        let hash = Sha256::new()
            .chain_update(front)
            .chain_update(uuid.0)
            .chain_update(version)
            .chain_update(program)
            .finalize();
        let mut salt = Derived::new(self, &hash)?;
        let signature = self.0.sign_with_rng(&mut salt, Pss::<Sha256>::new(), &hash).map_err(|_| BadKey)?;
        for part in [&hash[..], &signature, &uuid.0, &version, program] {
            signed.extend_from_slice(part);
        }
        Ok(signed)
    }
}

/// A signature's randomness, derived from the key and from what is signed, as RFC 6979 does for other schemes: unknown to everybody else,
/// and the same each time.
struct Derived {
    seed: Zeroizing<[u8; 32]>,
    count: u64,
}

impl Derived {
    fn new(key: &SigningKey, hash: &[u8]) -> Result<Self, BadKey> {
        let secret = key.to_pem()?;
        let seed =
            Sha256::new().chain_update(b"veritee trustzone signature 1\n").chain_update(&*secret).chain_update(hash);
        Ok(Self { seed: Zeroizing::new(seed.finalize().into()), count: 0 })
    }

    fn block(&mut self) -> [u8; 32] {
        self.count += 1;
        Sha256::new().chain_update(*self.seed).chain_update(self.count.to_le_bytes()).finalize().into()
    }
}

impl TryRng for Derived {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let [a, b, c, d, ..] = self.block();
        Ok(u32::from_le_bytes([a, b, c, d]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let [a, b, c, d, e, f, g, h, ..] = self.block();
        Ok(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for part in bytes.chunks_mut(32) {
            part.copy_from_slice(&self.block()[..part.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Derived {}
