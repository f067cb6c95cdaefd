//! A fake TEE whose randomness is a counter of its own, so that a found input does the same again.

use veritee_conformance::desk::owner;
use veritee_ids::{CipherId, Freshness};
use veritee_seal::{OwnerKey, Secret};
use veritee_tee::{EVIDENCE_BYTES_MAX, NoEntropy, NoEvidence, Root, Tee};

/// The key that owner and module share on the symmetric one.
pub(crate) const MODULE_KEY: [u8; 16] = [0x42; 16];

#[derive(Debug)]
pub(crate) struct FuzzTee {
    drawn: u64,
    key: Option<Secret>,
}

impl FuzzTee {
    /// A TEE with key agreement, or a symmetric one.
    pub(crate) fn new(agreement: bool) -> Self {
        Self { drawn: 0, key: (!agreement).then(|| Secret::new(MODULE_KEY)) }
    }
}

impl Tee for FuzzTee {
    type Key = veritee_ciphers::AeadKey;

    const CONTROL_CIPHER: CipherId = CipherId::Aes128Gcm;

    fn freshness(&self) -> Freshness {
        Freshness::SoftwarePrng
    }

    fn random(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        for chunk in bytes.chunks_mut(8) {
            self.drawn += 1;
            chunk.copy_from_slice(&self.drawn.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }

    fn root(&self) -> Root<'_> {
        self.key.as_ref().map_or_else(|| Root::Agreement(OwnerKey(owner().public())), Root::Symmetric)
    }

    fn evidence(&mut self, transcript: &[u8], evidence: &mut [u8; EVIDENCE_BYTES_MAX]) -> Result<usize, NoEvidence> {
        evidence[..transcript.len()].copy_from_slice(transcript);
        Ok(transcript.len())
    }
}
