//! Judging evidence of native modules, and the owner's end of the platform.
//!
//! Native evidence is the transcript, the agreement key, and the measurement that the runner stated. It proves nothing
//! against the node: a policy must allow `native` by name.

use veritee_ids::limits::{PAYLOAD_BYTES_MAX, PROTOCOL_VERSION};
use veritee_ids::{Challenge, Freshness, Label};
use veritee_native_image::NativeBuilder;
use veritee_platform::{
    BuildOrder, BuiltImage, Expected, Language, OwnerPlatform, PlatformError, SessionStart, Verified, VerifyPolicy,
    same,
};
use veritee_wire::Layout;
use veritee_wire::layout::{AgreementKey, Transcript};

#[cfg(test)]
mod tests;

const QUOTED_BYTES: usize = Transcript::BYTES + AgreementKey::BYTES;
const MEASUREMENT_BYTES: usize = 32;

/// The native platform, as an owner sees it.
#[derive(Clone, Debug, Default)]
pub struct NativeOwner {
    builder: NativeBuilder,
}

impl NativeOwner {
    /// With a builder of its own.
    #[must_use]
    pub const fn new(builder: NativeBuilder) -> Self {
        Self { builder }
    }
}

impl OwnerPlatform for NativeOwner {
    fn name(&self) -> &'static str {
        "native"
    }

    fn languages(&self) -> &'static [Language] {
        &[Language::Rust, Language::C]
    }

    fn payload_bytes_max(&self) -> usize {
        PAYLOAD_BYTES_MAX
    }

    fn unprotected(&self) -> Option<&'static str> {
        Some("native")
    }

    fn delegates(&self) -> bool {
        true
    }

    fn build(&self, order: &BuildOrder<'_>) -> Result<BuiltImage, PlatformError> {
        self.builder.build(order)
    }

    fn verify(
        &self, evidence: &[u8], challenge: Challenge, expected: Expected<'_>, policy: &VerifyPolicy,
    ) -> Result<Verified, PlatformError> {
        if evidence.len() != QUOTED_BYTES + MEASUREMENT_BYTES {
            return Err(PlatformError::MalformedEvidence);
        }
        let (quoted, stated) = evidence.split_at(QUOTED_BYTES);
        let (statement, _) = Transcript::decode_front(quoted).map_err(|_| PlatformError::MalformedEvidence)?;
        same("label", Label::Transcript.word(), statement.label.word())?;
        same("protocol version", PROTOCOL_VERSION, statement.version)?;
        same("challenge", challenge, statement.challenge)?;
        same("measurement", Hex(expected.measurement), Hex(stated))?;
        allowed(policy, statement.freshness)?;
        Ok(Verified {
            activation: statement.activation,
            measurement: stated.to_vec(),
            simulated: true,
            freshness: statement.freshness,
            signer: None,
            caveat: None,
            start: SessionStart::Agreement { transcript: quoted.to_vec() },
        })
    }
}

/// Shows bytes in hexadecimal.
struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn allowed(policy: &VerifyPolicy, freshness: Freshness) -> Result<(), PlatformError> {
    if !policy.allow_simulated.iter().any(|allowed| allowed == "native") {
        return Err(PlatformError::Policy {
            what: "native modules, which nothing protects from their node".to_owned(),
            advice: "name it in the descriptor's policy (`allow: [native]`) if that is what you want".to_owned(),
        });
    }
    let good = [Freshness::HardwareRng, Freshness::PersistentCounter];
    let accepted = if policy.freshness.is_empty() { &good[..] } else { &policy.freshness };
    if accepted.contains(&freshness) {
        return Ok(());
    }
    Err(PlatformError::Policy {
        what: format!("activation ids from {}", freshness.word()),
        advice: format!("name it in the descriptor's policy (`freshness: [{}]`) if you accept it", freshness.word()),
    })
}
