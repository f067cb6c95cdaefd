//! What an owner accepts of what a quote proves.

use dcap_qvl::quote::EnclaveReport;
use dcap_qvl::verify::VerifiedReport;
use veritee_platform::{PlatformError, QuotePolicy, same};
use veritee_sgx_format::hex;
use veritee_sgx_format::sigstruct::{DEBUG, INIT, MODE64, XFRM};

/// The status of a platform that has nothing to be accepted.
const UP_TO_DATE: &str = "UpToDate";

/// Judges a verified report.
pub(crate) fn judge(
    policy: &QuotePolicy, report: &EnclaveReport, verified: &VerifiedReport, accepted: &mut dyn FnMut(&str, &str),
) -> Result<(), PlatformError> {
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| report.attributes[at + byte]));
    let (flags, xfrm) = (word(0), word(8));
    same("debug", "off", if flags & DEBUG == 0 { "off" } else { "on" })?;
    same("attributes", format!("{:#x}", INIT | MODE64), format!("{flags:#x}"))?;
    same("XFRM", format!("{XFRM:#x}"), format!("{xfrm:#x}"))?;
    accepted("attributes", &format!("{flags:#x} with XFRM {xfrm:#x}: no debugging, no provisioning"));
    if let Some(signer) = &policy.signer {
        same("signer", hex(signer), hex(&report.mr_signer))?;
    }
    accepted("signer", &hex(&report.mr_signer));
    if report.isv_svn < policy.version_min {
        let (expected, actual) = (format!("at least {}", policy.version_min), report.isv_svn.to_string());
        return Err(PlatformError::ClaimDiffers { claim: "security version (ISVSVN)", expected, actual });
    }
    accepted("product and version", &format!("{} and {}", report.isv_prod_id, report.isv_svn));
    judge_platform(policy, verified)?;
    accepted("platform", &format!("{}, no advisory that is not accepted", verified.status));
    Ok(())
}

/// Judges how up to date the platform is.
fn judge_platform(policy: &QuotePolicy, verified: &VerifiedReport) -> Result<(), PlatformError> {
    let accepts = |word: &str| policy.tcb.iter().any(|accepted| accepted == word);
    if verified.status != UP_TO_DATE && !accepts(&verified.status) {
        let actual = format!("{} {}", verified.status, verified.advisory_ids.join(" "));
        let statuses = policy.tcb.iter().filter(|word| !word.starts_with("INTEL-SA-")).map(String::as_str);
        let expected = [UP_TO_DATE].into_iter().chain(statuses).collect::<Vec<_>>().join(" or ");
        return Err(PlatformError::ClaimDiffers {
            claim: "TCB status",
            expected,
            actual: actual.trim_end().to_owned(),
        });
    }
    let open: Vec<&str> = verified.advisory_ids.iter().filter(|id| !accepts(id)).map(String::as_str).collect();
    same("advisories", "none", if open.is_empty() { "none".to_owned() } else { open.join(" ") })
}
