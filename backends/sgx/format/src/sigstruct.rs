//! SIGSTRUCT: what an enclave's author signed, checked as EINIT checks it.
//!
//! | offset | length | field |
//! |---|---|---|
//! | 0 | 16 | fixed header |
//! | 16 | 4 | vendor, 0 |
//! | 20 | 4 | date, BCD |
//! | 24 | 16 | fixed header |
//! | 128 | 384 | modulus |
//! | 512 | 4 | exponent, 3 |
//! | 516 | 384 | signature over bytes 0-127 and 900-1027 |
//! | 900, 904 | 4 | MISCSELECT, its mask |
//! | 928, 944 | 16 | attributes (flags, XFRM), their mask |
//! | 960 | 32 | MRENCLAVE |
//! | 1024, 1026 | 2 | ISVPRODID, ISVSVN |
//! | 1040, 1424 | 384 | Q1, Q2 |

use crate::{FormatError, hex, word};
use num_bigint::BigUint;
use sha2::{Digest, Sha256};

/// Bytes of a SIGSTRUCT.
pub const BYTES: usize = 1808;
/// Bytes of the modulus.
pub const MODULUS_BYTES: usize = 384;
/// ATTRIBUTES.DEBUG.
pub const DEBUG: u64 = 2;
/// ATTRIBUTES.MODE64BIT.
pub const MODE64: u64 = 4;
/// ATTRIBUTES.INIT.
pub const INIT: u64 = 1;
/// XFRM: x87, SSE and AVX.
pub const XFRM: u64 = 7;
/// DigestInfo of SHA-256 in PKCS #1 v1.5.
pub const DIGEST_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

const HEADER: [u8; 16] = [6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0];
const HEADER2: [u8; 16] = [1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1, 0, 0, 0];
/// The date field does not depend on the day of the build, so that equal sources give equal bytes.
const DATE: u32 = 0x2026_0101;

/// A SIGSTRUCT.
#[derive(Clone, PartialEq, Eq)]
pub struct Sigstruct(Box<[u8; BYTES]>);

impl std::fmt::Debug for Sigstruct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sigstruct({} by {})", hex(&self.measurement()), hex(&self.signer()))
    }
}

impl Sigstruct {
    /// For an enclave that is not to be debugged, with every attribute fixed; to be signed.
    #[must_use]
    pub fn unsigned(measurement: [u8; 32], product: u16, version: u16) -> Self {
        let mut this = Self(Box::new([0; BYTES]));
        this.put(0, &HEADER);
        this.put(20, &DATE.to_le_bytes());
        this.put(24, &HEADER2);
        this.put(512, &3_u32.to_le_bytes());
        this.put(904, &u32::MAX.to_le_bytes());
        this.put(928, &MODE64.to_le_bytes());
        this.put(936, &XFRM.to_le_bytes());
        this.put(944, &[0xff; 16]);
        this.put(960, &measurement);
        this.put(1024, &product.to_le_bytes());
        this.put(1026, &version.to_le_bytes());
        this
    }

    /// Takes bytes as they are; [`check`](Self::check) judges them.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; BYTES]) -> Self {
        Self(Box::new(*bytes))
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// SHA-256 of what is signed.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::new().chain_update(&self.0[..128]).chain_update(&self.0[900..1028]).finalize().into()
    }

    /// Adds a signature, big-endian as RSA gives it, with Q1 and Q2.
    pub fn sign(&mut self, modulus: &[u8], signature: &[u8]) {
        let (modulus, signature) = (BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(signature));
        let (q1, q2, _) = quotients(&signature, &modulus);
        for (at, number) in [(128, &modulus), (516, &signature), (1040, &q1), (1424, &q2)] {
            let mut bytes = number.to_bytes_le();
            bytes.resize(MODULUS_BYTES, 0);
            self.put(at, &bytes);
        }
    }

    fn number(&self, at: usize) -> BigUint {
        BigUint::from_bytes_le(&self.0[at..at + MODULUS_BYTES])
    }

    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        word(&*self.0, at).unwrap_or([0; N])
    }

    /// MRENCLAVE that was signed.
    #[must_use]
    pub fn measurement(&self) -> [u8; 32] {
        self.field(960)
    }

    /// MRSIGNER: SHA-256 of the modulus.
    #[must_use]
    pub fn signer(&self) -> [u8; 32] {
        Sha256::digest(&self.0[128..128 + MODULUS_BYTES]).into()
    }

    /// ISVPRODID.
    #[must_use]
    pub fn product(&self) -> u16 {
        u16::from_le_bytes(self.field(1024))
    }

    /// ISVSVN: the enclave's security version.
    #[must_use]
    pub fn version(&self) -> u16 {
        u16::from_le_bytes(self.field(1026))
    }

    /// Flags and XFRM of the attributes.
    #[must_use]
    pub fn attributes(&self) -> (u64, u64) {
        (u64::from_le_bytes(self.field(928)), u64::from_le_bytes(self.field(936)))
    }

    /// Masks of flags and XFRM: which bits are fixed.
    #[must_use]
    pub fn attribute_mask(&self) -> (u64, u64) {
        (u64::from_le_bytes(self.field(944)), u64::from_le_bytes(self.field(952)))
    }

    /// Checks everything that EINIT checks, for a launch without debugging.
    ///
    /// # Errors
    /// [`FormatError::Sigstruct`], [`FormatError::Signature`], [`FormatError::Measurement`] or [`FormatError::Attribute`].
    pub fn check(&self, measurement: [u8; 32]) -> Result<(), FormatError> {
        self.check_form()?;
        self.check_signature()?;
        if measurement != self.measurement() {
            let (actual, signed) = (hex(&measurement), hex(&self.measurement()));
            return Err(FormatError::Measurement { actual, signed });
        }
        let ((flags, xfrm), (mask, xfrm_mask)) = (self.attributes(), self.attribute_mask());
        if flags & DEBUG != 0 {
            return Err(FormatError::Attribute("it was signed for debugging"));
        }
        if mask & DEBUG == 0 {
            return Err(FormatError::Attribute("its signer leaves debugging to the host"));
        }
        if (flags ^ MODE64) & mask != 0 || (xfrm ^ XFRM) & xfrm_mask != 0 {
            return Err(FormatError::Attribute(
                "it was signed for other attributes than 64 bits with x87, SSE and AVX",
            ));
        }
        Ok(())
    }

    fn check_form(&self) -> Result<(), FormatError> {
        let zero = |range: std::ops::Range<usize>| self.0[range].iter().all(|byte| *byte == 0);
        let reserved = zero(44..128) && zero(908..928) && zero(992..1024) && zero(1028..1040);
        if self.0[..16] != HEADER || self.0[24..40] != HEADER2 {
            return Err(FormatError::Sigstruct("its headers are not those of a SIGSTRUCT"));
        }
        if !reserved || !zero(900..904) {
            return Err(FormatError::Sigstruct("a reserved field is not zero"));
        }
        if self.field(512) != 3_u32.to_le_bytes() {
            return Err(FormatError::Sigstruct("its exponent is not 3"));
        }
        Ok(())
    }

    fn check_signature(&self) -> Result<(), FormatError> {
        let (modulus, signature) = (self.number(128), self.number(516));
        if self.0[128 + MODULUS_BYTES - 1] < 0x80 {
            return Err(FormatError::Signature("the modulus is shorter than 3072 bits"));
        }
        if signature >= modulus {
            return Err(FormatError::Signature("the signature is no number below the modulus"));
        }
        let (q1, q2, cube) = quotients(&signature, &modulus);
        if q1 != self.number(1040) || q2 != self.number(1424) {
            return Err(FormatError::Signature("Q1 or Q2 does not belong to the signature"));
        }
        if cube != BigUint::from_bytes_be(&padded(&self.digest())) {
            return Err(FormatError::Signature("the signature is not over this SIGSTRUCT"));
        }
        Ok(())
    }
}

/// A digest, padded by PKCS #1 v1.5.
fn padded(digest: &[u8; 32]) -> [u8; MODULUS_BYTES] {
    let mut block = [0xff; MODULUS_BYTES];
    let tail = MODULUS_BYTES - 32;
    block[..2].copy_from_slice(&[0, 1]);
    block[tail - DIGEST_INFO.len() - 1] = 0;
    block[tail - DIGEST_INFO.len()..tail].copy_from_slice(&DIGEST_INFO);
    block[tail..].copy_from_slice(digest);
    block
}

/// Q1, Q2 and the signature's cube modulo the modulus.
fn quotients(signature: &BigUint, modulus: &BigUint) -> (BigUint, BigUint, BigUint) {
    if modulus.bits() == 0 {
        return Default::default();
    }
    let square = signature * signature;
    let q1 = &square / modulus;
    let cube = (square - &q1 * modulus) * signature;
    let q2 = &cube / modulus;
    let rest = cube - &q2 * modulus;
    (q1, q2, rest)
}
