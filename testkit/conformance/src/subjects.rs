//! Subjects that run in the test's own process: the Rust core on a fake X25519 platform and on a fake symmetric one.

use crate::desk::owner;
use crate::probe::{Probe, ROWS, TOKENS};
use crate::{Start, Subject};
use std::sync::atomic::{AtomicU64, Ordering};
use veritee_ciphers::AeadKey;
use veritee_ids::{CipherId, Freshness, Op, SealPolicy};
use veritee_module::Module;
use veritee_seal::{OwnerKey, Secret, derive};
use veritee_tee::{EVIDENCE_BYTES_MAX, KeyName, NoEntropy, NoEvidence, Root, Tee};

static DRAWN: AtomicU64 = AtomicU64::new(1);

/// A fake TEE: unique bytes instead of random ones, evidence that proves nothing.
#[derive(Debug)]
pub struct FakeTee {
    key: Option<Secret>,
}

impl Tee for FakeTee {
    type Key = AeadKey;
    const CONTROL_CIPHER: CipherId = CipherId::Aes128Gcm;

    fn freshness(&self) -> Freshness {
        Freshness::SoftwarePrng
    }

    fn random(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        for chunk in bytes.chunks_mut(8) {
            let drawn = DRAWN.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            chunk.copy_from_slice(&drawn.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }

    fn root(&self) -> Root<'_> {
        self.key.as_ref().map_or_else(|| Root::Agreement(OwnerKey(owner().public())), Root::Symmetric)
    }

    /// Keys of one machine, whatever the policy: there is one image and one signer.
    fn sealing_key(&mut self, policy: SealPolicy, name: Option<KeyName>) -> Option<(Secret, KeyName)> {
        if self.key.is_some() {
            return None;
        }
        let name = match name {
            Some(name) => name,
            None => {
                let mut name = [0; 34];
                self.random(&mut name).ok()?;
                name
            }
        };
        Some((derive(b"machine", &[&policy.code().to_le_bytes()[..], &name].concat()), name))
    }

    fn evidence(&mut self, transcript: &[u8], evidence: &mut [u8; EVIDENCE_BYTES_MAX]) -> Result<usize, NoEvidence> {
        evidence[..transcript.len()].copy_from_slice(transcript);
        Ok(transcript.len())
    }
}

/// The Rust core in this process.
#[expect(missing_debug_implementations, reason = "a module does not show itself")]
pub struct InProcess {
    module: Module<FakeTee, Probe, ROWS, TOKENS, 4>,
    key: Option<[u8; 16]>,
}

impl InProcess {
    /// A fresh activation; with a module key it is a symmetric platform.
    ///
    /// # Panics
    /// Never: the fake TEE always has entropy.
    #[must_use]
    pub fn new(key: Option<[u8; 16]>) -> Self {
        let tee = FakeTee { key: key.map(Secret::new) };
        Self { module: Module::new(tee).expect("the fake TEE has entropy"), key }
    }
}

impl Subject for InProcess {
    fn enter(&mut self, op: Op, input: &[u8]) -> Vec<u8> {
        let mut output = vec![0; 64 * 1024];
        let length = self.module.enter(op.code(), &mut input.to_vec(), &mut output);
        output.truncate(length);
        output
    }

    fn transcript(&self, evidence: &[u8]) -> Vec<u8> {
        evidence.to_vec()
    }

    fn module_key(&self) -> Option<[u8; 16]> {
        self.key
    }

    fn seals(&self) -> bool {
        self.key.is_none()
    }
}

/// Starts the core on the fake X25519 platform.
pub fn agreement() -> Start<'static> {
    &|| Box::new(InProcess::new(None))
}

/// Starts the core on the fake symmetric platform.
pub fn symmetric() -> Start<'static> {
    &|| Box::new(InProcess::new(Some([0x42; 16])))
}
