//! What a provider keeps of a TrustZone node, and what he gives to an owner: JSON, in their own files.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use veritee_ids::Freshness;
use veritee_platform::PlatformError;
use veritee_trustzone_image::sign::SigningKey;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What the provider says of a node. An owner's key of the node comes with it: he believes his provider, and nobody else.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Properties {
    /// An emulated machine: its own user sees everything.
    pub simulated: bool,
    /// Where activation ids come from: what the node's core draws random numbers from.
    #[serde(with = "freshness")]
    pub freshness: Freshness,
    /// Whose signature the node's core wants: SHA-256 of the key's modulus, in hexadecimal.
    pub signer: String,
}

/// Sixteen secret bytes, in hexadecimal. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct HexKey(pub(crate) [u8; 16]);

impl Serialize for HexKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(hex(&self.0)))
    }
}

impl<'de> Deserialize<'de> for HexKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
        let key = bytes.filter(|_| rest.is_empty()).and_then(|bytes| bytes.try_into().ok());
        key.map(Self).ok_or_else(|| serde::de::Error::custom("not 16 bytes in hexadecimal"))
    }
}

/// What an owner is given.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VendorKey {
    pub(crate) properties: Properties,
    pub(crate) vendor: u16,
    pub(crate) key: HexKey,
}

/// What the provider keeps.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeSecret {
    pub(crate) properties: Properties,
    pub(crate) secret: HexKey,
    /// The signing key in PKCS #8, PEM.
    #[serde(with = "wiped")]
    pub(crate) signing_key: Zeroizing<String>,
}

impl NodeSecret {
    pub(crate) fn signing_key(&self) -> Result<SigningKey, PlatformError> {
        SigningKey::from_pem(&self.signing_key).map_err(|_| foreign("its signing key is none"))
    }
}

/// Reads what must be JSON of this platform.
pub(crate) fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, PlatformError> {
    serde_json::from_slice(json).map_err(|error| foreign(&error.to_string()))
}

pub(crate) fn json(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, PlatformError> {
    let bytes = serde_json::to_vec(value).map_err(|error| PlatformError::Credential { reason: error.to_string() })?;
    Ok(Zeroizing::new(bytes))
}

/// How a signing key is named.
pub(crate) fn name_of(key: &SigningKey) -> String {
    hex(&Sha256::digest(key.modulus()))
}

fn foreign(reason: &str) -> PlatformError {
    PlatformError::Credential {
        reason: format!("this is no key of a TrustZone node ({reason}); ask its provider for another one"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

/// Text that is wiped when it is dropped.
mod wiped {
    use serde::{Deserialize, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(text: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(deserializer).map(Zeroizing::new)
    }
}

mod freshness {
    use serde::{Deserialize, Deserializer, Serializer};
    use veritee_ids::Freshness;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde wants")]
    pub(super) fn serialize<S: Serializer>(value: &Freshness, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value.word())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Freshness, D::Error> {
        let word = String::deserialize(deserializer)?;
        let found = Freshness::ALL.iter().find(|freshness| freshness.word() == word);
        found.copied().ok_or_else(|| serde::de::Error::custom(format!("{word:?} is no source of freshness")))
    }
}
