//! From a root of the platform's own to its certified key, and the collateral: revocation lists, TCB info, QE identity.
//!
//! # Source
//! Intel's PCK certificate and certificate revocation list profile specification, and the API of its provisioning
//! certification service (version 4), whose structures these are.

use super::identity::CPU_SVN;
use super::quote::{QUOTING_SVN, quoting_enclave};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType, Error, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, RevokedCertParams, SerialNumber,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use veritee_sgx_format::hex;

/// PCESVN of the platform.
pub(super) const PCE_SVN: u16 = 13;
const PCE_ID: [u8; 2] = [0, 0];
/// A family of processors that Intel does not have.
const FMSPC: [u8; 6] = *b"VTSIM1";
/// 1.2.840.113741.1.13.1
const SGX_EXTENSIONS: [u64; 7] = [1, 2, 840, 113_741, 1, 13, 1];
/// The same, in DER.
const SGX_OID: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01];
const PCK_SERIAL: [u8; 8] = [0x10, 0, 0, 0, 0, 0, 0, 4];
const CA_SERIAL: [u8; 8] = [0x10, 0, 0, 0, 0, 0, 0, 2];
/// How long certificates hold: what is renewed is the collateral.
const YEARS: i64 = 30;

/// Keys (PKCS #8) and certificates (PEM).
#[derive(Serialize, Deserialize)]
pub(crate) struct Chain {
    root_key: Vec<u8>,
    ca_key: Vec<u8>,
    tcb_key: Vec<u8>,
    pub(crate) pck_key: Vec<u8>,
    pub(crate) attestation_key: Vec<u8>,
    root: String,
    ca: String,
    tcb: String,
    pck: String,
    root_der: Vec<u8>,
    /// Seconds since 1970.
    created: i64,
}

/// On which terms collateral is issued: what tests vary.
#[derive(Clone, Debug)]
pub struct Terms {
    /// When it is issued.
    pub now: OffsetDateTime,
    /// How long it holds.
    pub days: i64,
    /// TCB status of this platform.
    pub status: &'static str,
    /// Advisories that hold for it.
    pub advisories: &'static [&'static str],
    /// The platform's certified key is revoked.
    pub revoked: bool,
}

impl Terms {
    /// The usual ones: issued an hour ago, for thirty days, up to date.
    #[must_use]
    pub fn now() -> Self {
        let now = OffsetDateTime::now_utc() - Duration::HOUR;
        Self { now, days: 30, status: "UpToDate", advisories: &[], revoked: false }
    }
}

impl Chain {
    pub(super) fn generate(now: OffsetDateTime) -> Result<Self, Error> {
        let [root_key, ca_key, tcb_key, pck_key, attestation_key] =
            [(); 5].map(|()| KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256));
        let (root_key, ca_key, tcb_key, pck_key) = (root_key?, ca_key?, tcb_key?, pck_key?);
        let from = now - Duration::DAY;
        let root_params = authority("Veritee Simulated SGX Root CA", from, 1);
        let root = root_params.self_signed(&root_key)?;
        let issuer = Issuer::from_params(&root_params, &root_key);
        let ca_params = authority("Veritee Simulated SGX PCK CA", from, 0);
        let ca = ca_params.signed_by(&ca_key, &issuer)?;
        let tcb = leaf("Veritee Simulated SGX TCB Signing", from).signed_by(&tcb_key, &issuer)?;
        let mut pck_params = leaf("Veritee Simulated SGX PCK Certificate", from);
        pck_params.serial_number = Some(SerialNumber::from_slice(&PCK_SERIAL));
        let extensions = sgx_extensions(&super::random::<16>().map_err(|_| Error::RingUnspecified)?);
        pck_params.custom_extensions.push(CustomExtension::from_oid_content(&SGX_EXTENSIONS, extensions));
        let pck = pck_params.signed_by(&pck_key, &Issuer::from_params(&ca_params, &ca_key))?;
        Ok(Self {
            root: root.pem(),
            root_der: root.der().to_vec(),
            ca: ca.pem(),
            tcb: tcb.pem(),
            pck: pck.pem(),
            root_key: root_key.serialize_der(),
            ca_key: ca_key.serialize_der(),
            tcb_key: tcb_key.serialize_der(),
            pck_key: pck_key.serialize_der(),
            attestation_key: attestation_key?.serialize_der(),
            created: from.unix_timestamp(),
        })
    }

    /// Certificates from the platform's certified key to the root, PEM.
    pub(super) fn pck_chain(&self) -> String {
        [&*self.pck, &self.ca, &self.root].concat()
    }

    /// The root certificate, DER.
    #[must_use]
    pub(crate) fn root(&self) -> &[u8] {
        &self.root_der
    }

    /// The attestation key's public half: x and y.
    pub(super) fn attestation_public(&self) -> Option<[u8; 64]> {
        let key = key_pair(&self.attestation_key)?;
        key.public_key().as_ref().strip_prefix(&[4])?.try_into().ok()
    }

    /// Issues collateral, in the JSON form that verifiers read.
    pub(crate) fn collateral(&self, terms: &Terms) -> Result<String, Error> {
        let created = OffsetDateTime::from_unix_timestamp(self.created).map_err(|_| Error::Time)?;
        let root_params = authority("Veritee Simulated SGX Root CA", created, 1);
        let ca_params = authority("Veritee Simulated SGX PCK CA", created, 0);
        let [root_key, ca_key] = [&self.root_key, &self.ca_key].map(|key| read(key));
        let (root_key, ca_key) = (root_key?, ca_key?);
        let root_crl = revocations(terms, &[]).signed_by(&Issuer::from_params(&root_params, &root_key))?;
        let revoked: &[&[u8]] = if terms.revoked { &[&PCK_SERIAL] } else { &[] };
        let pck_crl = revocations(terms, revoked).signed_by(&Issuer::from_params(&ca_params, &ca_key))?;
        let (tcb_info, identity) = (tcb_info(terms)?, qe_identity(terms)?);
        let signed = |text: &str| sign(&self.tcb_key, text.as_bytes()).map(|signature| hex(&signature));
        let [tcb_chain, ca_chain] = [&self.tcb, &self.ca].map(|leaf| [&**leaf, &self.root].concat());
        let collateral = json!({
            "pck_crl_issuer_chain": ca_chain,
            "root_ca_crl": hex(root_crl.der()),
            "pck_crl": hex(pck_crl.der()),
            "tcb_info_issuer_chain": tcb_chain,
            "tcb_info_signature": signed(&tcb_info).ok_or(Error::RingUnspecified)?,
            "tcb_info": tcb_info,
            "qe_identity_issuer_chain": tcb_chain,
            "qe_identity_signature": signed(&identity).ok_or(Error::RingUnspecified)?,
            "qe_identity": identity,
        });
        Ok(collateral.to_string())
    }
}

/// Signs with a P-256 key: r and s.
pub(super) fn sign(key: &[u8], message: &[u8]) -> Option<[u8; 64]> {
    key_pair(key)?.sign(&SystemRandom::new(), message).ok()?.as_ref().try_into().ok()
}

fn key_pair(pkcs8: &[u8]) -> Option<EcdsaKeyPair> {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new()).ok()
}

fn read(pkcs8: &[u8]) -> Result<KeyPair, Error> {
    KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.into(), &PKCS_ECDSA_P256_SHA256)
}

fn named(name: &str, from: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "simulated, no protection");
    params.not_before = from;
    params.not_after = from + Duration::days(365 * YEARS);
    params.use_authority_key_identifier_extension = true;
    params
}

fn authority(name: &str, from: OffsetDateTime, below: u8) -> CertificateParams {
    let mut params = named(name, from);
    params.serial_number = Some(SerialNumber::from_slice(if below == 0 { &CA_SERIAL } else { &[1] }));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf(name: &str, from: OffsetDateTime) -> CertificateParams {
    let mut params = named(name, from);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::ContentCommitment];
    params
}

fn revocations(terms: &Terms, serials: &[&[u8]]) -> CertificateRevocationListParams {
    CertificateRevocationListParams {
        this_update: terms.now,
        next_update: terms.now + Duration::days(terms.days),
        crl_number: SerialNumber::from_slice(&[1]),
        issuing_distribution_point: None,
        revoked_certs: serials
            .iter()
            .map(|serial| RevokedCertParams {
                serial_number: SerialNumber::from_slice(serial),
                revocation_time: terms.now,
                reason_code: None,
                invalidity_date: None,
            })
            .collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    }
}

fn date(time: OffsetDateTime) -> Result<String, Error> {
    let whole = time.replace_nanosecond(0).map_err(|_| Error::Time)?;
    whole.format(&Rfc3339).map_err(|_| Error::Time)
}

fn tcb_info(terms: &Terms) -> Result<String, Error> {
    let components: Vec<_> = CPU_SVN.iter().map(|svn| json!({"svn": svn})).collect();
    let issued = date(terms.now)?;
    let info = json!({
        "id": "SGX", "version": 3, "issueDate": issued, "nextUpdate": date(terms.now + Duration::days(terms.days))?,
        "fmspc": hex(&FMSPC).to_uppercase(), "pceId": hex(&PCE_ID), "tcbType": 0, "tcbEvaluationDataNumber": 1,
        "tcbLevels": [{
            "tcb": {"sgxtcbcomponents": components, "pcesvn": PCE_SVN},
            "tcbDate": issued, "tcbStatus": terms.status, "advisoryIDs": terms.advisories,
        }],
    });
    Ok(info.to_string())
}

fn qe_identity(terms: &Terms) -> Result<String, Error> {
    let issued = date(terms.now)?;
    let identity = json!({
        "id": "QE", "version": 2, "issueDate": issued, "nextUpdate": date(terms.now + Duration::days(terms.days))?,
        "tcbEvaluationDataNumber": 1, "miscselect": "00000000", "miscselectMask": "FFFFFFFF",
        "attributes": "05000000000000000000000000000000", "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": hex(&quoting_enclave().signer).to_uppercase(), "isvprodid": 1,
        "tcbLevels": [{"tcb": {"isvsvn": QUOTING_SVN}, "tcbDate": issued, "tcbStatus": "UpToDate"}],
    });
    Ok(identity.to_string())
}

/// What a certified key says of its platform.
fn sgx_extensions(platform: &[u8; 16]) -> Vec<u8> {
    let mut tcb: Vec<Vec<u8>> =
        CPU_SVN.iter().zip(1..).map(|(svn, component)| named_value(&[2, component], &der(0x02, &[*svn]))).collect();
    let pce = u8::try_from(PCE_SVN).unwrap_or(u8::MAX);
    tcb.push(named_value(&[2, 17], &der(0x02, &[pce])));
    tcb.push(named_value(&[2, 18], &der(0x04, &CPU_SVN)));
    let parts = [
        named_value(&[1], &der(0x04, platform)),
        named_value(&[2], &der(0x30, &tcb.concat())),
        named_value(&[3], &der(0x04, &PCE_ID)),
        named_value(&[4], &der(0x04, &FMSPC)),
        named_value(&[5], &der(0x0a, &[0])),
    ];
    der(0x30, &parts.concat())
}

/// A sequence of a name below SGX's and a value.
fn named_value(name: &[u8], value: &[u8]) -> Vec<u8> {
    let oid = der(0x06, &[&SGX_OID, name].concat());
    der(0x30, &[&*oid, value].concat())
}

/// Tag, length, content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u16::try_from(content.len()).map(u16::to_be_bytes) {
        Ok([0, length]) if length < 0x80 => bytes.push(length),
        Ok([0, length]) => bytes.extend_from_slice(&[0x81, length]),
        Ok([high, low]) => bytes.extend_from_slice(&[0x82, high, low]),
        Err(_) => {}
    }
    bytes.extend_from_slice(content);
    bytes
}
