//! What an owner accepts of what a quote proves.

use dcap_qvl::quote::EnclaveReport;
use dcap_qvl::verify::VerifiedReport;
use veritee_platform::{PlatformError, same};
use veritee_sgx_format::hex;
use veritee_sgx_format::sigstruct::{DEBUG, INIT, MODE64, XFRM};

/// What an owner accepts. The measurement is always compared; the default accepts every signer, and platforms that are up to
/// date only.
#[derive(Clone, Debug)]
pub struct SgxPolicy {
    /// MRSIGNER, if it matters who signed.
    pub signer: Option<[u8; 32]>,
    /// ISVPRODID, if it matters.
    pub product: Option<u16>,
    /// Lowest ISVSVN.
    pub version_min: u16,
    /// TCB statuses that are accepted, in Intel's words.
    pub statuses: Vec<String>,
    /// Advisories that are accepted, by number; any other one of the platform refuses it.
    pub advisories: Vec<String>,
}

impl Default for SgxPolicy {
    fn default() -> Self {
        Self {
            signer: None,
            product: None,
            version_min: 1,
            statuses: vec!["UpToDate".to_owned()],
            advisories: Vec::new(),
        }
    }
}

impl SgxPolicy {
    /// Judges a verified report.
    pub(crate) fn judge(
        &self, report: &EnclaveReport, verified: &VerifiedReport, accepted: &mut dyn FnMut(&str, &str),
    ) -> Result<(), PlatformError> {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| report.attributes[at + byte]));
        let (flags, xfrm) = (word(0), word(8));
        same("debug", "off", if flags & DEBUG == 0 { "off" } else { "on" })?;
        same("attributes", format!("{:#x}", INIT | MODE64), format!("{flags:#x}"))?;
        same("XFRM", format!("{XFRM:#x}"), format!("{xfrm:#x}"))?;
        accepted("attributes", &format!("{flags:#x} with XFRM {xfrm:#x}: no debugging, no provisioning"));
        if let Some(signer) = &self.signer {
            same("signer", hex(signer), hex(&report.mr_signer))?;
        }
        accepted("signer", &hex(&report.mr_signer));
        if let Some(product) = self.product {
            same("product", product, report.isv_prod_id)?;
        }
        if report.isv_svn < self.version_min {
            let (expected, actual) = (format!("at least {}", self.version_min), report.isv_svn.to_string());
            return Err(PlatformError::ClaimDiffers { claim: "security version (ISVSVN)", expected, actual });
        }
        accepted("product and version", &format!("{} and {}", report.isv_prod_id, report.isv_svn));
        self.judge_platform(verified)?;
        accepted("platform", &format!("{}, no advisory that is not accepted", verified.status));
        Ok(())
    }

    fn judge_platform(&self, verified: &VerifiedReport) -> Result<(), PlatformError> {
        if !self.statuses.contains(&verified.status) {
            let actual = format!("{} {}", verified.status, verified.advisory_ids.join(" "));
            let (claim, expected) = ("TCB status", self.statuses.join(" or "));
            return Err(PlatformError::ClaimDiffers { claim, expected, actual: actual.trim_end().to_owned() });
        }
        let open: Vec<&str> =
            verified.advisory_ids.iter().filter(|id| !self.advisories.contains(id)).map(String::as_str).collect();
        same("advisories", "none", if open.is_empty() { "none".to_owned() } else { open.join(" ") })
    }
}
