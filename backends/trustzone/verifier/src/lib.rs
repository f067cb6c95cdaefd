//! Judging evidence of TrustZone modules, and what owners and providers derive keys with.
//!
//! [`record`](Properties) is what a provider keeps of a node and gives to an owner; [`TrustzoneOwner`] builds, places, judges; [`TrustzoneProvider`] makes
//! nodes, signs modules, derives keys.
//!
//! Evidence is the transcript and a tag that only the module, the owner and the provider can compute: all three know the
//! module key. The key is bound to the module's UUID; that the UUID stands for this content is the word of the provider, who signs
//! nothing else. `simulated`, the source of freshness and the signer are what the provider says of the node.

mod provider;
mod record;

#[cfg(test)]
mod tests;

pub use provider::TrustzoneProvider;
pub use record::Properties;

use crate::record::VendorKey;
use veritee_ids::limits::{PAYLOAD_BYTES_MAX, PROTOCOL_VERSION, TAG_BYTES};
use veritee_ids::{Challenge, CipherId, Freshness, Label};
use veritee_platform::{
    BuildOrder, BuiltImage, Expected, Language, OwnerPlatform, Placement, PlatformError, SessionStart, Verified,
    VerifyPolicy, same,
};
use veritee_seal::Secret;
use veritee_session::{Kdf, Symmetric};
use veritee_trustzone_image::TrustzoneBuilder;
use veritee_trustzone_secret::keys;
use veritee_wire::Layout;
use veritee_wire::layout::Transcript;

/// Word that a policy must allow for emulated nodes.
const SIMULATED: &str = "trustzone-simulated";

/// The TrustZone platform, as an owner sees it.
#[derive(Clone, Debug, Default)]
pub struct TrustzoneOwner {
    builder: TrustzoneBuilder,
}

impl TrustzoneOwner {
    /// With a builder of its own.
    #[must_use]
    pub const fn new(builder: TrustzoneBuilder) -> Self {
        Self { builder }
    }
}

impl OwnerPlatform for TrustzoneOwner {
    fn name(&self) -> &'static str {
        "trustzone"
    }

    fn languages(&self) -> &'static [Language] {
        &[Language::Rust, Language::C]
    }

    fn payload_bytes_max(&self) -> usize {
        PAYLOAD_BYTES_MAX
    }

    fn has_boards(&self) -> bool {
        true
    }

    fn build(&self, order: &BuildOrder<'_>) -> Result<BuiltImage, PlatformError> {
        self.builder.build(order)
    }

    /// A module runs anywhere in the secure world; what it still needs is its vendor's number, then a signature.
    fn need(&self, _: &BuiltImage) -> Result<Option<Vec<u8>>, PlatformError> {
        Ok(Some(Vec::new()))
    }

    fn place(&self, image: &BuiltImage, placement: Placement<'_>) -> Result<BuiltImage, PlatformError> {
        let vendor: VendorKey = record::read(&placement.credential.0)?;
        let placed = veritee_trustzone_image::place(image, vendor.vendor, vendor.properties.freshness)?;
        let key = keys::module_key(&Secret::new(vendor.key.0), placed.content.uuid);
        Ok(BuiltImage { key: Some(key), ..placed.image })
    }

    fn wants_signature(&self) -> bool {
        true
    }

    fn verify(
        &self, evidence: &[u8], challenge: Challenge, expected: Expected<'_>, policy: &VerifyPolicy,
    ) -> Result<Verified, PlatformError> {
        let (Some(key), Some(credential)) = (expected.key, expected.credential) else {
            return Err(PlatformError::Credential {
                reason: "a TrustZone module is judged with a key of its node: `veritee provider vendor-key` prints one"
                    .into(),
            });
        };
        let vendor: VendorKey = record::read(&credential.0)?;
        judge(evidence, challenge, (key, expected.measurement), &vendor.properties, policy)
    }
}

/// Judges evidence of a module with this key, on a node with these properties.
fn judge(
    evidence: &[u8], challenge: Challenge, (key, measurement): (&Secret, &[u8]), properties: &Properties,
    policy: &VerifyPolicy,
) -> Result<Verified, PlatformError> {
    let (transcript, proof) = evidence.split_last_chunk::<TAG_BYTES>().ok_or(PlatformError::MalformedEvidence)?;
    let statement = Transcript::decode(transcript).map_err(|_| PlatformError::MalformedEvidence)?;
    same("label", Label::Transcript.word(), statement.label.word())?;
    same("protocol version", PROTOCOL_VERSION, statement.version)?;
    same("challenge", challenge, statement.challenge)?;
    let known = Symmetric::new(Kdf::HkdfSha256, key, transcript).map_err(|_| PlatformError::MalformedEvidence)?;
    if known.proof() != Secret::new(*proof) {
        return Err(PlatformError::ClaimDiffers {
            claim: "the proof of the module key",
            expected: "one under the key of this image on this node".to_owned(),
            actual: "another one (is it another node or owner's vendor key, or was the image changed?)".to_owned(),
        });
    }
    same("freshness", properties.freshness.word(), statement.freshness.word())?;
    allowed(properties, policy)?;
    Ok(Verified {
        activation: statement.activation,
        measurement: measurement.to_vec(),
        simulated: properties.simulated,
        freshness: statement.freshness,
        signer: None,
        caveat: None,
        start: SessionStart::Symmetric { known, cipher: CipherId::Aes128Gcm },
    })
}

fn allowed(properties: &Properties, policy: &VerifyPolicy) -> Result<(), PlatformError> {
    if properties.simulated && !policy.allow_simulated.iter().any(|allowed| allowed == SIMULATED) {
        return Err(PlatformError::Policy {
            what: "emulated TrustZone nodes, whose secure world their own user can read".to_owned(),
            advice: format!("name it in the descriptor's policy (`allow: [{SIMULATED}]`) if that is what you want"),
        });
    }
    let good = [Freshness::HardwareRng, Freshness::PersistentCounter];
    let accepted = if policy.freshness.is_empty() { &good[..] } else { &policy.freshness };
    let word = properties.freshness.word();
    if accepted.contains(&properties.freshness) {
        return Ok(());
    }
    Err(PlatformError::Policy {
        what: format!("activation ids from {word}"),
        advice: format!("name it in the descriptor's policy (`freshness: [{word}]`) if you accept it"),
    })
}
