//! Judging evidence of Sancus modules, and what owners and providers derive keys with.
//!
//! In the order of a module's life: `build` (its image), [`record`] (what a provider keeps of a board and gives to an owner), [`keys`] (from the
//! board's secret to the module key), [`SancusOwner`] (builds, places, judges), [`SancusProvider`] (makes boards).
//!
//! Evidence is the transcript and a tag that only the module, the owner and the provider can compute: all three know the
//! module key. Profile, security and `simulated` are what the key stands for, not claims of the evidence.

mod build;
mod keys;
mod provider;
mod record;

pub use provider::SancusProvider;
pub use record::{Core, Properties};

use crate::record::VendorKey;
use veritee_ids::limits::PROTOCOL_VERSION;
use veritee_ids::{Challenge, CipherId, Freshness, Label};
use veritee_platform::{
    BuildOrder, BuiltImage, Credential, Driver, Expected, Language, OwnerPlatform, Placement, PlatformError,
    SessionStart, Verified, VerifyPolicy, same,
};
use veritee_sancus_format::{Need, Profile};
use veritee_seal::Secret;
use veritee_session::{Kdf, Symmetric};
use veritee_wire::Layout;
use veritee_wire::layout::Transcript;

/// Largest payload of an event in bytes: what a module's memory holds.
const PAYLOAD_BYTES_MAX: usize = 256;
const PROOF_BYTES: usize = 16;

/// Words that a policy must allow.
const SIMULATED: &str = "sancus-simulated";
const BARE: &str = "sancus-bare";
/// What a policy gives up that allows bare boards.
const BARE_CAVEAT: &str = "this board lacks the board profile: its firmware can read the module's secrets, change its key and move its \
                           devices (docs/board-profile.md lists how)";

/// The Sancus platform, as an owner sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SancusOwner;

impl OwnerPlatform for SancusOwner {
    fn name(&self) -> &'static str {
        "sancus"
    }

    fn languages(&self) -> &'static [Language] {
        &[Language::C]
    }

    fn payload_bytes_max(&self) -> usize {
        PAYLOAD_BYTES_MAX
    }

    fn ciphers(&self) -> &'static [CipherId] {
        &[CipherId::Spongent128]
    }

    fn has_boards(&self) -> bool {
        true
    }

    fn build(&self, order: &BuildOrder<'_>) -> Result<BuiltImage, PlatformError> {
        build::module(order)
    }

    fn need(&self, image: &BuiltImage) -> Result<Option<Vec<u8>>, PlatformError> {
        let need = build::load(&image.path)?.need();
        Ok(Some(Need { text_bytes: need.text_bytes, secret_bytes: need.secret_bytes }.encode()))
    }

    fn place(&self, image: &BuiltImage, placement: Placement<'_>) -> Result<BuiltImage, PlatformError> {
        let vendor: VendorKey = record::read(&placement.credential.0)?;
        let (bytes, identity) = build::place(image, placement.place, vendor.vendor)?;
        // The same module at another place, or for another board, is another image.
        let path = image.path.with_extension(format!("{}.image", build::short(&bytes)));
        let written = std::fs::write(&path, bytes);
        written.map_err(|source| PlatformError::System { action: format!("write {}", path.display()), source })?;
        Ok(BuiltImage {
            path,
            measurement: keys::measurement(&identity).to_vec(),
            ports: image.ports.clone(),
            key: Some(keys::module_key(&Secret::new(vendor.key.0), &identity)),
            signer: None,
        })
    }

    fn driver(&self, name: &str, credential: &Credential) -> Result<Driver, PlatformError> {
        let vendor: VendorKey = record::read(&credential.0)?;
        let Some(found) = vendor.drivers.iter().find(|driver| driver.name == name) else {
            let drivers: Vec<&str> = vendor.drivers.iter().map(|driver| driver.name.as_str()).collect();
            let there =
                if drivers.is_empty() { "it has none".to_owned() } else { format!("there is: {}", drivers.join(", ")) };
            return Err(PlatformError::Credential { reason: format!("the board has no driver {name:?}; {there}") });
        };
        found.driver()
    }

    fn verify(
        &self, evidence: &[u8], challenge: Challenge, expected: Expected<'_>, policy: &VerifyPolicy,
    ) -> Result<Verified, PlatformError> {
        let (Some(key), Some(credential)) = (expected.key, expected.credential) else {
            return Err(PlatformError::Credential {
                reason: "a Sancus module is judged with a key of its board".into(),
            });
        };
        let vendor: VendorKey = record::read(&credential.0)?;
        judge(evidence, challenge, (key, expected.measurement), &vendor.properties, policy)
    }
}

/// Judges evidence of a module with this key, on a board with these properties.
fn judge(
    evidence: &[u8], challenge: Challenge, (key, measurement): (&Secret, &[u8]), properties: &Properties,
    policy: &VerifyPolicy,
) -> Result<Verified, PlatformError> {
    let malformed = |_| PlatformError::MalformedEvidence;
    let (transcript, proof) = evidence.split_last_chunk::<PROOF_BYTES>().ok_or(PlatformError::MalformedEvidence)?;
    let statement = Transcript::decode(transcript).map_err(malformed)?;
    same("label", Label::Transcript.word(), statement.label.word())?;
    same("protocol version", PROTOCOL_VERSION, statement.version)?;
    same("challenge", challenge, statement.challenge)?;
    let known = Symmetric::new(Kdf::SpongeWrap, key, transcript).map_err(|_| PlatformError::MalformedEvidence)?;
    if known.proof() != Secret::new(*proof) {
        return Err(PlatformError::ClaimDiffers {
            claim: "the proof of the module key",
            expected: "one under the key of this image on this board".to_owned(),
            actual: "another one (is it another board, profile or owner's vendor key, or was the image changed?)"
                .to_owned(),
        });
    }
    same("freshness", properties.freshness().word(), statement.freshness.word())?;
    allowed(properties, statement.freshness, policy)?;
    Ok(Verified {
        activation: statement.activation,
        measurement: measurement.to_vec(),
        simulated: properties.simulated || properties.profile == Profile::Bare,
        freshness: statement.freshness,
        signer: None,
        caveat: (properties.profile == Profile::Bare).then_some(BARE_CAVEAT),
        start: SessionStart::Symmetric { known, cipher: CipherId::Spongent128 },
    })
}

fn allowed(properties: &Properties, freshness: Freshness, policy: &VerifyPolicy) -> Result<(), PlatformError> {
    let allow = |word: &str| policy.allow_simulated.iter().any(|allowed| allowed == word);
    let refuse = |what: &str, advice: String| Err(PlatformError::Policy { what: what.to_owned(), advice });
    let name = |word| format!("name it in the descriptor's policy (`allow: [{word}]`) if that is what you want");
    if properties.security != 128 {
        return refuse(
            "boards of 64-bit security",
            "a tag of 64 bits can be forged; take a core of 128 bits".to_owned(),
        );
    }
    if properties.simulated && !allow(SIMULATED) {
        return refuse("emulated Sancus boards, which nothing protects from their node", name(SIMULATED));
    }
    if properties.profile == Profile::Bare && !allow(BARE) {
        return refuse(
            "boards without the board profile, whose firmware can read what modules leave in memory",
            name(BARE),
        );
    }
    let good = [Freshness::HardwareRng, Freshness::PersistentCounter];
    let accepted = if policy.freshness.is_empty() { &good[..] } else { &policy.freshness };
    if accepted.contains(&freshness) {
        return Ok(());
    }
    let advice = format!("name it in the descriptor's policy (`freshness: [{}]`) if you accept it", freshness.word());
    refuse(&format!("activation ids from {}", freshness.word()), advice)
}
