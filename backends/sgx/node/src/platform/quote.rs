//! Quotes of version 3: ECDSA over P-256, as Intel's quoting enclave makes them.
//!
//! | offset | length | field |
//! |---|---|---|
//! | 0 | 48 | header |
//! | 48 | 384 | body of the enclave's report |
//! | 432 | 4 | length of what follows |
//! | 436 | 64, 64 | signature, attestation key |
//! | 564 | 384, 64 | report of the quoting enclave, signed by the platform's certified key |
//! | 1012 | 2 + 32 | data of the quoting enclave |
//! | 1046 | 2 + 4 + n | certificates: kind 5, PEM, leaf first |

use super::Simulated;
use super::identity::{BODY_BYTES, Identity, REPORT_BYTES};
use super::pki::{PCE_SVN, sign};
use sha2::{Digest, Sha256};

/// Intel's vendor id: verifiers know no other.
const VENDOR: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
/// Bytes in which a quoting enclave says how its key came about.
const ORIGIN: [u8; 32] = [0; 32];
/// ISVSVN of the quoting enclave.
pub(super) const QUOTING_SVN: u16 = 8;

/// The simulated quoting enclave.
#[must_use]
pub fn quoting_enclave() -> Identity {
    Identity {
        measurement: Sha256::digest(b"veritee simulated quoting enclave").into(),
        signer: Sha256::digest(b"veritee simulated quoting signer").into(),
        product: 1,
        version: QUOTING_SVN,
        attributes: (5, 7),
    }
}

impl Simulated {
    /// Turns a report into a quote; `None` when it was not made here for the quoting enclave.
    #[must_use]
    pub fn quote(&self, report: &[u8; REPORT_BYTES]) -> Option<Vec<u8>> {
        if !self.checks(report, &quoting_enclave().target()) {
            return None;
        }
        let body = report.first_chunk::<BODY_BYTES>()?;
        self.quote_body(body)
    }

    /// Signs a report's body, without asking where it is from.
    pub(crate) fn quote_body(&self, body: &[u8; BODY_BYTES]) -> Option<Vec<u8>> {
        let mut quote = Vec::with_capacity(4500);
        for half in [3, 2, 0, 0, QUOTING_SVN, PCE_SVN] {
            quote.extend_from_slice(&half.to_le_bytes());
        }
        quote.extend_from_slice(&VENDOR);
        quote.extend_from_slice(&[0; 20]);
        quote.extend_from_slice(body);
        let signature = sign(&self.chain.attestation_key, &quote)?;
        let key = self.chain.attestation_public()?;
        let mut data = [0; 64];
        data[..32].copy_from_slice(&Sha256::new().chain_update(key).chain_update(ORIGIN).finalize());
        let quoting = quoting_enclave().body(&data);
        let certified = sign(&self.chain.pck_key, &quoting)?;
        let certificates = self.chain.pck_chain();
        let mut rest = Vec::with_capacity(4096);
        for part in [&signature[..], &key, &quoting, &certified] {
            rest.extend_from_slice(part);
        }
        rest.extend_from_slice(&u16::try_from(ORIGIN.len()).ok()?.to_le_bytes());
        rest.extend_from_slice(&ORIGIN);
        rest.extend_from_slice(&5_u16.to_le_bytes());
        rest.extend_from_slice(&u32::try_from(certificates.len()).ok()?.to_le_bytes());
        rest.extend_from_slice(certificates.as_bytes());
        quote.extend_from_slice(&u32::try_from(rest.len()).ok()?.to_le_bytes());
        quote.append(&mut rest);
        Some(quote)
    }
}
