//! Attestation results: the owner's verdict in JSON, signed as a JWT.

use crate::{Appraised, base64url, eat, hex, thumbprint};
use serde_json::{Map, Value, json};
use veritee_session::OwnerIdentity;

/// Names the form of results.
pub const EAR_PROFILE: &str = "tag:ietf.org,2026:rats/ear#04";
/// Who says it: names of this program.
const DEVELOPER: &str = "Veritee";
const BUILD: &str = concat!("veritee ", env!("CARGO_PKG_VERSION"));

/// Trustworthiness claims, as AR4SI numbers them.
mod trust {
    /// Only what the owner built runs.
    pub(super) const APPROVED: i8 = 2;
    /// The hardware proved to be genuine.
    pub(super) const GENUINE: i8 = 2;
    /// Recognised, but no protection: simulated, or none at all.
    pub(super) const CONTRAINDICATED: i8 = 96;
    /// Nobody else on the machine sees the module's memory.
    pub(super) const ISOLATED: i8 = 32;
    /// Memory is encrypted inside the TEE.
    pub(super) const ENCRYPTED: i8 = 2;
    /// Who owns the machine sees the module's memory.
    pub(super) const VISIBLE: i8 = 96;
}

/// Signs the result of an appraisal: a JWT in its compact form.
#[must_use]
pub fn ear(appraised: &Appraised<'_>, owner: &OwnerIdentity) -> String {
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": thumbprint(owner)}).to_string();
    let claims = ear_claims(appraised, owner).to_string();
    let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let signature = base64url(&owner.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// The claims of a result: the module is a submodule of its application. The evidence is inside, as a token.
#[must_use]
pub fn ear_claims(appraised: &Appraised<'_>, owner: &OwnerIdentity) -> Value {
    let Appraised { application, module, platform, challenge, verdict, at, .. } = *appraised;
    let nonce = base64url(&challenge.0);
    let mut submodule = Map::from_iter([("eat_nonce".to_owned(), json!(nonce))]);
    let status = match verdict {
        Ok(verified) => {
            let attester = json!({
                "veritee_measurement": hex(&verified.measurement),
                "veritee_activation": hex(&verified.activation.0),
                "veritee_freshness": verified.freshness.word(),
            });
            submodule.insert("ear_attester_claims".to_owned(), attester);
            let (vector, status) = judged(platform, verified.simulated);
            submodule.insert("ear_trustworthiness_vector".to_owned(), vector);
            let verifier = json!({"veritee_platform": platform, "veritee_simulated": verified.simulated});
            submodule.insert("ear_verifier_claims".to_owned(), verifier);
            status
        }
        Err(reason) => {
            let verifier = json!({"veritee_platform": platform, "veritee_refused": reason});
            submodule.insert("ear_verifier_claims".to_owned(), verifier);
            "contraindicated"
        }
    };
    submodule.insert("ear_status".to_owned(), json!(status));
    json!({
        "eat_profile": EAR_PROFILE,
        "iat": at,
        "sub": application,
        "ear_verifier_id": {"developer": DEVELOPER, "build": BUILD},
        "ear_raw_evidence": ["application/eat+cwt", base64url(&eat(appraised, owner))],
        "submods": {module: submodule},
    })
}

/// The trustworthiness vector of accepted evidence, and its lowest tier.
fn judged(platform: &str, simulated: bool) -> (Value, &'static str) {
    let (hardware, runtime, status) = match (simulated, platform) {
        (true, _) => (trust::CONTRAINDICATED, trust::VISIBLE, "contraindicated"),
        (false, "sgx") => (trust::GENUINE, trust::ENCRYPTED, "affirming"),
        (false, _) => (trust::GENUINE, trust::ISOLATED, "warning"),
    };
    (json!({"executables": trust::APPROVED, "hardware": hardware, "runtime-opaque": runtime}), status)
}
