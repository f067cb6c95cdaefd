//! Entity attestation tokens: claims in CBOR, signed as COSE.
//!
//! | key | claim | |
//! |---|---|---|
//! | 2 | sub | `application/module` |
//! | 6 | iat | when the evidence was judged |
//! | 10 | eat_nonce | the owner's challenge, 16 bytes |
//! | 265 | eat_profile | [`EAT_PROFILE`] |
//! | -65537 | platform | word |
//! | -65538 | evidence | bytes, in the platform's own form |
//! | -65539 | measurement | bytes; with what follows, only if the owner accepted the evidence |
//! | -65540 | activation | 16 bytes: this life of the module |
//! | -65541 | freshness | word: where the activation's uniqueness comes from |
//! | -65542 | simulated | true where nothing protects the module |
//!
//! Claims below -65536 are private, as RFC 8392 has it.

use crate::{Appraised, thumbprint};
use minicbor::Encoder;
use minicbor::data::Tag;
use veritee_session::OwnerIdentity;

/// Names these claims in a token.
pub const EAT_PROFILE: &str = "urn:uuid:6a1c5c8e-0d0b-4f7e-9a55-2f5a3f1b7c11";

/// Tags of a token and of a message with one signer.
const CWT: u64 = 61;
const COSE_SIGN1: u64 = 18;
/// Header parameters: algorithm, key id; the algorithm.
const ALGORITHM: i8 = 1;
const KEY_ID: i8 = 4;
const EDDSA: i8 = -8;

/// Signs the claims of a module's evidence: a CWT, tagged.
#[must_use]
pub fn eat(appraised: &Appraised<'_>, owner: &OwnerIdentity) -> Vec<u8> {
    let claims = claims(appraised);
    let protected = cbor(|encoder| {
        encoder.map(1)?.i8(ALGORITHM)?.i8(EDDSA)?;
        Ok(())
    });
    let signed = cbor(|encoder| {
        encoder.array(4)?.str("Signature1")?.bytes(&protected)?.bytes(&[])?.bytes(&claims)?;
        Ok(())
    });
    cbor(|encoder| {
        encoder.tag(Tag::new(CWT))?.tag(Tag::new(COSE_SIGN1))?.array(4)?.bytes(&protected)?;
        encoder.map(1)?.i8(KEY_ID)?.bytes(thumbprint(owner).as_bytes())?;
        encoder.bytes(&claims)?.bytes(&owner.sign(&signed))?;
        Ok(())
    })
}

fn claims(appraised: &Appraised<'_>) -> Vec<u8> {
    let Appraised { application, module, platform, challenge, evidence, verdict, at } = *appraised;
    cbor(|encoder| {
        encoder.map(if verdict.is_ok() { 10 } else { 6 })?;
        encoder.u8(2)?.str(&format!("{application}/{module}"))?.u8(6)?.u64(at)?.u8(10)?.bytes(&challenge.0)?;
        encoder.u16(265)?.str(EAT_PROFILE)?;
        encoder.i32(-65_537)?.str(platform)?.i32(-65_538)?.bytes(evidence)?;
        if let Ok(verified) = verdict {
            encoder.i32(-65_539)?.bytes(&verified.measurement)?.i32(-65_540)?.bytes(&verified.activation.0)?;
            encoder.i32(-65_541)?.str(verified.freshness.word())?.i32(-65_542)?.bool(verified.simulated)?;
        }
        Ok(())
    })
}

/// Why writing can fail: never, into memory.
type Never = minicbor::encode::Error<core::convert::Infallible>;

fn cbor(write: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Result<(), Never>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut Encoder::new(&mut bytes)).expect("memory takes everything");
    bytes
}
