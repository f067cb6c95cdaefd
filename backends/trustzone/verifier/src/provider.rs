//! What a provider does with TrustZone nodes: draws their secrets, signs, derives keys.

use crate::record::{self, HexKey, NodeSecret, Properties, VendorKey, json, name_of};
use std::fs;
use std::path::PathBuf;
use veritee_ids::Freshness;
use veritee_platform::{BoardOrder, BoardRecord, BuiltBoard, Credential, DriverKeys, PlatformError, ProviderPlatform};
use veritee_seal::Secret;
use veritee_trustzone_format::service;
use veritee_trustzone_image::sign::SigningKey;
use veritee_trustzone_image::{TrustzoneBuilder, sign_module, sign_service};
use veritee_trustzone_secret::{SECRET_BYTES, keys};
use zeroize::Zeroize;

/// Length of a new signing key in bits: what the key in the packaged core has, whose place it takes.
const SIGNING_KEY_BITS: usize = 2048;
/// File with the public half of the signing key, for whoever puts the node's core together.
const SIGNER_FILE: &str = "signer.pem";

/// The TrustZone platform, as a provider sees it.
///
/// A "board" is the secure world of a node. Its secret is what the attestation service is given once; its firmware is that service, signed.
#[derive(Clone, Debug, Default)]
pub struct TrustzoneProvider {
    builder: TrustzoneBuilder,
}

impl TrustzoneProvider {
    /// With a builder of its own.
    #[must_use]
    pub const fn new(builder: TrustzoneBuilder) -> Self {
        Self { builder }
    }
}

impl ProviderPlatform for TrustzoneProvider {
    fn name(&self) -> &'static str {
        "trustzone"
    }

    fn drivers(&self) -> Vec<String> {
        Vec::new()
    }

    fn make(&self, order: &BoardOrder<'_>) -> Result<BuiltBoard, PlatformError> {
        if let Some(driver) = order.drivers.first() {
            return Err(PlatformError::Credential { reason: format!("TrustZone nodes have no driver {driver}") });
        }
        if order.bare {
            return Err(PlatformError::Credential {
                reason: "TrustZone nodes have no board profile to leave out".to_owned(),
            });
        }
        (order.talk)("building the attestation service");
        let program = self.builder.build_service(order.target, order.talk)?;
        (order.talk)("drawing a signing key");
        let key = SigningKey::generate(SIGNING_KEY_BITS).map_err(|_| unusable())?;
        let firmware = keep(order, &key, &sign_service(&key, &program)?)?;
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)
            .map_err(|error| system("draw a node's secret")(std::io::Error::other(error.to_string())))?;
        // A core says nothing of where its random numbers come from: no more is claimed than every core has.
        let properties =
            Properties { simulated: order.simulated, freshness: Freshness::SoftwarePrng, signer: name_of(&key) };
        let kept =
            NodeSecret { properties, secret: HexKey(secret), signing_key: key.to_pem().map_err(|_| unusable())? };
        let built = BuiltBoard { record: BoardRecord(json(&kept)?), firmware, secret: Secret::new(secret) };
        secret.zeroize();
        Ok(built)
    }

    fn node_files(&self, built: &BuiltBoard) -> Result<Vec<(String, Vec<u8>)>, PlatformError> {
        let kept: NodeSecret = record::read(&built.record.0)?;
        let pem = kept.signing_key()?.public_pem().map_err(|_| unusable())?;
        let service = fs::read(&built.firmware).map_err(system("read the attestation service"))?;
        Ok(vec![(SIGNER_FILE.to_owned(), pem.into_bytes()), (format!("{}.ta", service::UUID), service)])
    }

    fn credential(&self, board: &BoardRecord, vendor: u16) -> Result<Credential, PlatformError> {
        let kept: NodeSecret = record::read(&board.0)?;
        let key = keys::vendor_key(&Secret::new(kept.secret.0), vendor);
        let given = VendorKey { properties: kept.properties, vendor, key: HexKey(*key.expose()) };
        Ok(Credential(json(&given)?))
    }

    fn keys(&self, board: &BoardRecord, _: &str) -> Result<Vec<DriverKeys>, PlatformError> {
        record::read::<NodeSecret>(&board.0).map(|_| Vec::new())
    }

    fn sign(&self, board: &BoardRecord, vendor: u16, image: &[u8]) -> Result<Vec<u8>, PlatformError> {
        sign_module(&record::read::<NodeSecret>(&board.0)?.signing_key()?, vendor, image)
    }
}

/// Keeps the signed service in a file of its own: each node has its own signer.
fn keep(order: &BoardOrder<'_>, key: &SigningKey, signed: &[u8]) -> Result<PathBuf, PlatformError> {
    let name = name_of(key);
    let folder = order.target.join("veritee/trustzone.services").join(name.get(..16).unwrap_or(&name));
    fs::create_dir_all(&folder).map_err(system("make a folder for the attestation service"))?;
    let path = folder.join(format!("{}.ta", service::UUID));
    fs::write(&path, signed).map_err(system("write the attestation service"))?;
    Ok(path)
}

fn unusable() -> PlatformError {
    PlatformError::Credential { reason: "the signing key cannot be used".to_owned() }
}

fn system(action: &str) -> impl FnOnce(std::io::Error) -> PlatformError {
    let action = action.to_owned();
    |source| PlatformError::System { action, source }
}
