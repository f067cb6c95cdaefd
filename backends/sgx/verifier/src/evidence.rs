//! Evidence as bytes.

use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::quote::Quote;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use veritee_platform::PlatformError;
use veritee_wire::Layout;
use veritee_wire::layout::{AgreementKey, Transcript};

/// The transcript with its agreement key.
const QUOTED_BYTES: usize = Transcript::BYTES + AgreementKey::BYTES;

/// Evidence, taken apart; nothing of it is judged.
pub(crate) struct Evidence<'a> {
    pub(crate) quoted: &'a [u8],
    pub(crate) quote: &'a [u8],
    collateral: &'a [u8],
}

impl<'a> Evidence<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, PlatformError> {
        let malformed = || PlatformError::MalformedEvidence;
        let (quoted, rest) = bytes.split_at_checked(QUOTED_BYTES).ok_or_else(malformed)?;
        let (length, rest) = rest.split_first_chunk().ok_or_else(malformed)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| malformed())?;
        let (quote, collateral) = rest.split_at_checked(length).ok_or_else(malformed)?;
        Ok(Self { quoted, quote, collateral })
    }

    /// What the node has from the maker of its processor. A node on hardware may have none.
    pub(crate) fn collateral(&self) -> Result<QuoteCollateralV3, PlatformError> {
        if self.collateral.is_empty() {
            return Err(PlatformError::ClaimDiffers {
                claim: "collateral",
                expected: "beside the quote".to_owned(),
                actual: "missing: the node's provider has to put it there (docs/sgx.md)".to_owned(),
            });
        }
        serde_json::from_slice(self.collateral).map_err(|_| PlatformError::MalformedEvidence)
    }

    /// The root certificate that the quote's chain ends with, DER. It proves nothing by being there.
    pub(crate) fn root(&self) -> Result<Vec<u8>, PlatformError> {
        let malformed = || PlatformError::MalformedEvidence;
        let quote = Quote::parse(self.quote).map_err(|_| malformed())?;
        let chain = quote.raw_cert_chain().map_err(|_| malformed())?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let root = certificates.ok().and_then(|mut chain| chain.pop()).ok_or_else(malformed)?;
        Ok(root.to_vec())
    }
}
