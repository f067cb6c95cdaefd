//! Judging evidence of SGX enclaves, and the owner's end of the platform.
//!
//! Evidence is the module's transcript with its agreement key (78 bytes), the quote with its length in front (u32), and the
//! node's collateral as JSON. The quote is verified by `dcap-qvl`; [`policy`] says what an owner accepts of what it proves.
//!
//! 1. A quote under Intel's root is hardware. Any other root is a simulated platform, refused unless the policy names it.
//! 2. Collateral comes with the evidence: its signatures and dates are checked, so it does not matter from whom it is.
//! 3. A refusal names the claim, what was expected and what it is.
//!
//! # Source
//! Intel's DCAP quote format, version 3.

mod evidence;
mod policy;

#[cfg(test)]
mod tests;

use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::quote::EnclaveReport;
use dcap_qvl::verify::{QuoteVerifier, VerifiedReport};
use evidence::Evidence;
use sha2::{Digest, Sha256};
use std::time::{SystemTime, UNIX_EPOCH};
use veritee_ids::limits::{PAYLOAD_BYTES_MAX, PROTOCOL_VERSION};
use veritee_ids::{Challenge, Freshness, Label};
use veritee_platform::{
    BuildOrder, BuiltImage, Expected, Inspection, Language, OwnerPlatform, PlatformError, SessionStart, Verified,
    VerifyPolicy, same,
};
use veritee_sgx_format::hex;
use veritee_sgx_image::{SgxBuilder, inspect};
use veritee_wire::Layout;
use veritee_wire::layout::Transcript;

/// The word with which a policy accepts simulated platforms.
pub const SIMULATED: &str = "sgx-simulated";

/// SHA-256 of Intel's SGX root certificate: which root is asked. The verifier has the certificate itself.
const INTEL_ROOT: &str = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3";

/// SGX, as an owner sees it.
#[derive(Clone, Debug, Default)]
pub struct SgxOwner {
    builder: SgxBuilder,
}

impl SgxOwner {
    /// With a builder of its own.
    #[must_use]
    pub const fn new(builder: SgxBuilder) -> Self {
        Self { builder }
    }

    /// Judges evidence at a moment, in seconds since 1970.
    ///
    /// # Errors
    /// As [`OwnerPlatform::verify`].
    pub fn verify_at(
        &self, evidence: &[u8], challenge: Challenge, expected: Expected<'_>, policy: &VerifyPolicy, now: u64,
    ) -> Result<Verified, PlatformError> {
        self.judge((evidence, challenge, expected), policy, now, &mut |_, _| ())
    }

    fn judge(
        &self, (evidence, challenge, expected): (&[u8], Challenge, Expected<'_>), policy: &VerifyPolicy, now: u64,
        accepted: &mut dyn FnMut(&str, &str),
    ) -> Result<Verified, PlatformError> {
        let evidence = Evidence::read(evidence)?;
        let (statement, _) = Transcript::decode_front(evidence.quoted).map_err(|_| PlatformError::MalformedEvidence)?;
        same("label", Label::Transcript.word(), statement.label.word())?;
        same("protocol version", PROTOCOL_VERSION, statement.version)?;
        same("challenge", challenge, statement.challenge)?;
        accepted("challenge", &challenge.to_string());
        let root = evidence.root()?;
        let digest = hex(&Sha256::digest(&root));
        let simulated = digest != INTEL_ROOT;
        if simulated && !policy.allow_simulated.iter().any(|allowed| allowed == SIMULATED) {
            return Err(simulated_refused(&digest));
        }
        accepted(
            "root certificate",
            &format!("{digest}: {}", if simulated { "of a simulated platform" } else { "Intel's" }),
        );
        let verifier = if simulated { QuoteVerifier::new(root) } else { QuoteVerifier::new_prod() };
        let verified = verify_quote(&verifier, evidence.quote, &evidence.collateral()?, now)?;
        let report = verified.report.as_sgx().ok_or(PlatformError::MalformedEvidence)?;
        accepted("quote", "signed by a key that the root certified and nobody revoked; collateral valid now");
        check_report(report, evidence.quoted, expected.measurement, accepted)?;
        policy::judge(&policy.quotes, report, &verified, accepted)?;
        fresh(policy, statement.freshness)?;
        accepted("freshness", statement.freshness.word());
        Ok(Verified {
            activation: statement.activation,
            measurement: report.mr_enclave.to_vec(),
            simulated,
            freshness: statement.freshness,
            signer: Some(report.mr_signer.to_vec()),
            caveat: None,
            start: SessionStart::Agreement { transcript: evidence.quoted.to_vec() },
        })
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

impl OwnerPlatform for SgxOwner {
    fn name(&self) -> &'static str {
        "sgx"
    }

    fn languages(&self) -> &'static [Language] {
        &[Language::Rust]
    }

    fn payload_bytes_max(&self) -> usize {
        PAYLOAD_BYTES_MAX
    }

    fn seals(&self) -> bool {
        true
    }

    fn delegates(&self) -> bool {
        true
    }

    fn build(&self, order: &BuildOrder<'_>) -> Result<BuiltImage, PlatformError> {
        self.builder.build(order)
    }

    fn inspect(&self, file: &[u8]) -> Option<Result<Inspection, String>> {
        inspect::inspect(file)
    }

    fn verify(
        &self, evidence: &[u8], challenge: Challenge, expected: Expected<'_>, policy: &VerifyPolicy,
    ) -> Result<Verified, PlatformError> {
        self.verify_at(evidence, challenge, expected, policy, now())
    }

    fn examine(
        &self, evidence: &[u8], challenge: Challenge, expected: Expected<'_>, policy: &VerifyPolicy,
        accepted: &mut dyn FnMut(&str, &str),
    ) -> Result<Verified, PlatformError> {
        self.judge((evidence, challenge, expected), policy, now(), accepted)
    }
}

/// Verifies a quote under a verifier's root.
fn verify_quote(
    verifier: &QuoteVerifier, quote: &[u8], collateral: &QuoteCollateralV3, now: u64,
) -> Result<VerifiedReport, PlatformError> {
    verifier.verify(quote, collateral, now).map_err(|error| {
        let actual = format!("{error:#}");
        let (claim, expected) = blamed(&actual);
        PlatformError::ClaimDiffers { claim, expected: expected.to_owned(), actual }
    })
}

/// Which claim of a quote a verifier's error is about, and what is expected of it.
fn blamed(error: &str) -> (&'static str, &'static str) {
    let lower = error.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if says(&["expired", "not yet valid", "nextupdate", "future"]) {
        ("collateral dates", "valid now")
    } else if says(&["revoked"]) {
        ("certified key", "not revoked")
    } else if says(&["debug"]) {
        ("debug", "off")
    } else if says(&["tcb info", "tcbinfo", "tcb_info"]) {
        ("TCB info", "signed by the platform's authority")
    } else if says(&["qe identity", "qe_identity", "enclave identity"]) {
        ("identity of the quoting enclave", "signed by the platform's authority")
    } else {
        ("quote", "one that DCAP verifies")
    }
}

/// What of the report has nothing to do with policy: the code, and that it speaks of this transcript.
fn check_report(
    report: &EnclaveReport, quoted: &[u8], measurement: &[u8], accepted: &mut dyn FnMut(&str, &str),
) -> Result<(), PlatformError> {
    same("measurement", hex(measurement), hex(&report.mr_enclave))?;
    accepted("measurement", &hex(&report.mr_enclave));
    let mut data = [0; 64];
    data[..32].copy_from_slice(&Sha256::digest(quoted));
    same("report data", hex(&data), hex(&report.report_data))?;
    accepted("report data", "the transcript with the module's fresh key");
    Ok(())
}

fn simulated_refused(root: &str) -> PlatformError {
    PlatformError::Policy {
        what: format!("simulated SGX, which protects nothing (root certificate {})", &root[..16]),
        advice: format!("name it in the descriptor's policy (`allow: [{SIMULATED}]`) if that is what you want"),
    }
}

fn fresh(policy: &VerifyPolicy, freshness: Freshness) -> Result<(), PlatformError> {
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
