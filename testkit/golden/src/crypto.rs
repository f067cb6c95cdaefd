//! A test of SpongeWrap in software, of any length.

use crate::bytes;
use anyhow::{Context, Result};
use serde::Deserialize;
use veritee_spongent::{Spongent128, WrapKey, permutation::Variant};
use veritee_spongent64::Spongent64;

/// A test.
#[derive(Deserialize, Debug)]
#[serde(tag = "op", rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names of the format")]
pub enum Test {
    Wrap { security: u16, key: String, ad: String, body: String, cipher: String, tag: String, bad_tag: Option<String> },
    Mac { security: u16, key: String, msg: String, tag: String },
    Keys(Keys),
}

/// Keys of a module.
#[derive(Deserialize, Debug)]
#[expect(missing_docs, reason = "the names of the format")]
pub struct Keys {
    pub security: u16,
    pub node_key: String,
    pub vendor_id: u16,
    pub vendor_key: String,
    pub text: String,
    pub text_start: u16,
    pub text_end: u16,
    pub secret_start: u16,
    pub secret_end: u16,
    pub sm_key: String,
    pub verify_tag: String,
}

/// Runs a test; gives how the library differs.
///
/// # Errors
/// When the test itself makes no sense.
pub fn run(test: &Test) -> Result<Vec<String>> {
    let security = match test {
        Test::Wrap { security, .. } | Test::Mac { security, .. } => *security,
        Test::Keys(keys) => keys.security,
    };
    match security {
        64 => judge::<Spongent64, 8>(test),
        128 => judge::<Spongent128, 16>(test),
        other => anyhow::bail!("unknown security {other}"),
    }
}

fn judge<V: Variant, const R: usize>(test: &Test) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let mut check = |what: &str, seen: &[u8], expected: &[u8]| {
        if seen != expected {
            complaints.push(format!("{what}: {seen:02x?}, expected {expected:02x?}"));
        }
    };
    match test {
        Test::Wrap { key, ad, body, cipher, tag, bad_tag, .. } => {
            let (key, ad, body) = (secret::<V, R>(&bytes(key)?)?, bytes(ad)?, bytes(body)?);
            let mut buffer = body.clone();
            check("tag", &key.wrap_in_place(&ad, &mut buffer), &bytes(tag)?);
            check("cipher", &buffer, &bytes(cipher)?);
            let tag: [u8; R] = bytes(tag)?.as_slice().try_into()?;
            let opened = key.unwrap_in_place(&ad, &mut buffer, &tag).is_ok();
            check("plain", if opened { &buffer } else { b"refused" }, &body);
            if let Some(bad) = bad_tag {
                let bad: [u8; R] = bytes(bad)?.as_slice().try_into()?;
                let refused = key.unwrap_in_place(&ad, &mut bytes(cipher)?, &bad).is_err();
                check("refusal of a wrong tag", &[u8::from(refused)], &[1]);
            }
        }
        Test::Mac { key, msg, tag, .. } => check("tag", &secret::<V, R>(&bytes(key)?)?.mac(&bytes(msg)?), &bytes(tag)?),
        Test::Keys(keys) => {
            let vendor_key = secret::<V, R>(&bytes(&keys.node_key)?)?.mac(&keys.vendor_id.to_le_bytes());
            check("vendor key", &vendor_key, &bytes(&keys.vendor_key)?);
            let mut identity = bytes(&keys.text)?;
            for border in [keys.text_start, keys.text_end, keys.secret_start, keys.secret_end] {
                identity.extend(border.to_le_bytes());
            }
            check("module key", &WrapKey::<V, R>::new(&vendor_key).mac(&identity), &bytes(&keys.sm_key)?);
            check("verify tag", &WrapKey::<V, R>::new(&[0; R]).mac(&identity), &bytes(&keys.verify_tag)?);
        }
    }
    Ok(complaints)
}

fn secret<V: Variant, const R: usize>(bytes: &[u8]) -> Result<WrapKey<V, R>> {
    Ok(WrapKey::new(bytes.try_into().context("the key's length")?))
}
