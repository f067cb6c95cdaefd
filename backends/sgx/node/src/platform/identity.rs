//! What a processor says of an enclave: EREPORT and EGETKEY.
//!
//! Keys have the shape of the manual's derivation (fields, policy, versions), but not its bits: those are no processor's.
//!
//! # Source
//! Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3D, EREPORT and EGETKEY. Of a processor without key
//! separation and sharing (KSS): its policy bits are reserved.

use super::Simulated;
use aes::Aes128;
use cmac::{Cmac, KeyInit as _, Mac as _};
use veritee_sgx_format::sigstruct::INIT;
use veritee_sgx_format::{SgxImage, Sigstruct};

/// Bytes of a report.
pub const REPORT_BYTES: usize = 432;
/// Bytes of a report's body: what its tag covers, and what a quote contains.
pub const BODY_BYTES: usize = 384;
/// Bytes of a TARGETINFO.
pub const TARGET_BYTES: usize = 512;
/// CPUSVN of the platform.
pub const CPU_SVN: [u8; 16] = [2; 16];

/// Names of keys, and policies of sealing keys.
const REPORT_KEY: u16 = 3;
const SEAL_KEY: u16 = 4;
const POLICY_ENCLAVE: u16 = 1;
const POLICY_SIGNER: u16 = 2;

/// Attributes that every sealing key depends on, whatever mask is asked for: INIT and DEBUG.
const REQUIRED_SEALING_MASK: u8 = 3;

/// Not a code: the instruction faults, with a general protection exception.
pub const FAULT: u32 = u32::MAX;
/// Error codes of EGETKEY.
const INVALID_CPU_SVN: u32 = 32;
const INVALID_ISV_SVN: u32 = 64;
const INVALID_KEY_NAME: u32 = 256;

/// An enclave's identity, as EINIT fixed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// MRENCLAVE.
    pub measurement: [u8; 32],
    /// MRSIGNER.
    pub signer: [u8; 32],
    /// ISVPRODID.
    pub product: u16,
    /// ISVSVN.
    pub version: u16,
    /// Flags and XFRM.
    pub attributes: (u64, u64),
}

impl Identity {
    /// The identity that a signed image gets at its launch.
    #[must_use]
    pub fn of(image: &SgxImage) -> Self {
        Self::signed(image.measurement, &image.sigstruct)
    }

    fn signed(measurement: [u8; 32], sigstruct: &Sigstruct) -> Self {
        let (flags, xfrm) = sigstruct.attributes();
        Self {
            measurement,
            signer: sigstruct.signer(),
            product: sigstruct.product(),
            version: sigstruct.version(),
            attributes: (flags | INIT, xfrm),
        }
    }

    /// The body of a report over 64 bytes.
    #[must_use]
    pub fn body(&self, data: &[u8; 64]) -> [u8; BODY_BYTES] {
        let mut body = [0; BODY_BYTES];
        let mut put = |at: usize, bytes: &[u8]| body[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &CPU_SVN);
        put(48, &self.attribute_bytes());
        put(64, &self.measurement);
        put(128, &self.signer);
        put(256, &self.product.to_le_bytes());
        put(258, &self.version.to_le_bytes());
        put(320, data);
        body
    }

    fn attribute_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.attributes.0.to_le_bytes());
        bytes[8..].copy_from_slice(&self.attributes.1.to_le_bytes());
        bytes
    }

    /// TARGETINFO that names this enclave.
    #[must_use]
    pub fn target(&self) -> [u8; TARGET_BYTES] {
        let mut target = [0; TARGET_BYTES];
        target[..32].copy_from_slice(&self.measurement);
        target[32..48].copy_from_slice(&self.attribute_bytes());
        target
    }
}

impl Simulated {
    /// EREPORT: what the processor says of an enclave, with a tag that only the target can check.
    #[must_use]
    pub fn report(&self, enclave: &Identity, target: &[u8; TARGET_BYTES], data: &[u8; 64]) -> [u8; REPORT_BYTES] {
        let mut report = [0; REPORT_BYTES];
        report[..BODY_BYTES].copy_from_slice(&enclave.body(data));
        report[BODY_BYTES..BODY_BYTES + 32].copy_from_slice(&self.report_key_id);
        let tag = cmac(&self.report_key(target, &self.report_key_id), &[&report[..BODY_BYTES]]);
        report[BODY_BYTES + 32..].copy_from_slice(&tag);
        report
    }

    /// Whether a report was made on this platform for a target.
    #[must_use]
    pub fn checks(&self, report: &[u8; REPORT_BYTES], target: &[u8; TARGET_BYTES]) -> bool {
        let tag = cmac(&self.report_key(target, &self.report_key_id), &[&report[..BODY_BYTES]]);
        report[BODY_BYTES..BODY_BYTES + 32] == self.report_key_id && report[BODY_BYTES + 32..] == tag
    }

    fn report_key(&self, target: &[u8; TARGET_BYTES], key_id: &[u8]) -> [u8; 16] {
        let name = REPORT_KEY.to_le_bytes();
        // Of a target count measurement, attributes and MISCSELECT.
        cmac(&self.fused, &[&name, &target[..48], &target[52..56], key_id, &CPU_SVN])
    }

    /// EGETKEY: a key of an enclave's own. A sealing key of neither policy is nobody's in particular: any enclave of that
    /// product number gets it, as on hardware.
    ///
    /// # Errors
    /// The instruction's error code, or [`FAULT`] where a reserved field is not zero.
    pub fn key(&self, enclave: &Identity, request: &[u8; 512]) -> Result<[u8; 16], u32> {
        let half = |at: usize| u16::from_le_bytes([request[at], request[at + 1]]);
        let (name, policy, version) = (half(0), half(2), half(4));
        let reserved = request[6..8].iter().chain(&request[76..]).any(|byte| *byte != 0);
        if reserved || policy & !(POLICY_ENCLAVE | POLICY_SIGNER) != 0 {
            return Err(FAULT);
        }
        match name {
            REPORT_KEY => Ok(self.report_key(&enclave.target(), &request[40..72])),
            SEAL_KEY if request[8..24].iter().zip(CPU_SVN).any(|(wanted, ours)| *wanted > ours) => Err(INVALID_CPU_SVN),
            SEAL_KEY if version > enclave.version => Err(INVALID_ISV_SVN),
            SEAL_KEY => {
                let chosen = |bit: u16, value: &[u8; 32]| if policy & bit != 0 { *value } else { [0; 32] };
                let mut mask = [0; 16];
                mask.copy_from_slice(&request[24..40]);
                mask[0] |= REQUIRED_SEALING_MASK;
                let attributes: Vec<u8> =
                    enclave.attribute_bytes().iter().zip(mask).map(|(ours, mask)| ours & mask).collect();
                Ok(cmac(
                    &self.fused,
                    &[
                        &name.to_le_bytes(),
                        &policy.to_le_bytes(),
                        &chosen(POLICY_ENCLAVE, &enclave.measurement),
                        &chosen(POLICY_SIGNER, &enclave.signer),
                        &enclave.product.to_le_bytes(),
                        &version.to_le_bytes(),
                        &attributes,
                        &request[24..40],
                        // MISCSELECT of all our enclaves is zero, so only its mask counts.
                        &request[72..76],
                        &request[8..24],
                        &request[40..72],
                    ],
                ))
            }
            _ => Err(INVALID_KEY_NAME),
        }
    }
}

fn cmac(key: &[u8; 16], parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = Cmac::<Aes128>::new(key.into());
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}
