//! What a provider does with Sancus boards: makes them, derives keys.

use crate::build;
use crate::keys;
use crate::record::{self, BoardSecret, Core, DriverRecord, DriverSecret, HexKey, Properties, VendorKey};
use veritee_ids::Freshness;
use veritee_platform::{
    BoardOrder, BoardRecord, BuiltBoard, Credential, DriverKeys, PlatformError, ProviderPlatform, VerifyPolicy,
};
use veritee_sancus_format::{BuiltIn, FreshnessKind, Image, Profile};
use veritee_sancus_image::{BoardImage, BoardPlan, BuiltInModule, Declared, Memory};
use veritee_seal::Secret;
use zeroize::Zeroizing;

/// Vendor id of the provider's own drivers. Owners have others.
const PROVIDER_VENDOR: u16 = 1;
/// Slots of the hardware for protected modules.
const SLOTS: u16 = 16;
/// The framework's drivers. A device's number is its place here.
const DRIVERS: [&str; 4] = ["led", "button", "sensor", "valve"];

/// The Sancus platform, as a provider sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SancusProvider;

impl ProviderPlatform for SancusProvider {
    fn name(&self) -> &'static str {
        "sancus"
    }

    fn drivers(&self) -> Vec<String> {
        DRIVERS.map(str::to_owned).to_vec()
    }

    fn make(&self, order: &BoardOrder<'_>) -> Result<BuiltBoard, PlatformError> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(|error| PlatformError::System {
            action: "draw a board's secret".to_owned(),
            source: std::io::Error::other(error.to_string()),
        })?;
        (order.talk)("compiling stage 0, firmware and drivers");
        let plan = BoardPlan {
            vendor: PROVIDER_VENDOR,
            slots: SLOTS,
            memory: Memory::default(),
            drivers: order.drivers.to_vec(),
        };
        let built = BoardImage::build(&plan, &build::tools()?).map_err(|error| build::failed("the board", error))?;
        let firmware = build::keep(order.target, &format!("board-{}.elf", order.drivers.join("-")), &built.elf)?;
        let (profile, freshness) = match order.bare {
            true => (Profile::Bare, FreshnessKind::None),
            false => (Profile::Veritee, FreshnessKind::PersistentCounter),
        };
        let properties =
            Properties { profile, core: Core::Master, security: 128, freshness, simulated: order.simulated };
        let drivers = built.drivers.iter().map(driver).collect();
        let kept = BoardSecret { properties, secret: HexKey(secret), drivers };
        Ok(BuiltBoard { record: BoardRecord(json(&kept)?), firmware, secret: Secret::new(secret) })
    }

    fn credential(&self, board: &BoardRecord, vendor: u16) -> Result<Credential, PlatformError> {
        let kept: BoardSecret = record::read(&board.0)?;
        let key = vendor_key(&kept, vendor);
        let given = VendorKey {
            properties: kept.properties,
            vendor,
            key: HexKey(*key.expose()),
            drivers: kept.drivers.into_iter().map(|driver| driver.record).collect(),
        };
        Ok(Credential(json(&given)?))
    }

    fn keys(&self, board: &BoardRecord, name: &str) -> Result<Vec<DriverKeys>, PlatformError> {
        let kept: BoardSecret = record::read(&board.0)?;
        let vendor = vendor_key(&kept, PROVIDER_VENDOR);
        let credential = self.credential(board, PROVIDER_VENDOR)?;
        let allow_simulated = [crate::SIMULATED, crate::BARE].map(str::to_owned).to_vec();
        let policy = VerifyPolicy { allow_simulated, freshness: Freshness::ALL.to_vec(), ..VerifyPolicy::default() };
        let keys = kept.drivers.iter().map(|driver| {
            let image = Image::BuiltIn(BuiltIn { board: name.to_owned(), driver: driver.record.name.clone() });
            Ok(DriverKeys {
                driver: driver.record.driver()?,
                image: image.encode(),
                measurement: keys::measurement(&driver.identity).to_vec(),
                key: keys::module_key(&vendor, &driver.identity),
                credential: credential.clone(),
                policy: policy.clone(),
            })
        });
        keys.collect()
    }
}

/// What is kept of a driver.
fn driver(built: &BuiltInModule) -> DriverSecret {
    let device = DRIVERS.iter().position(|name| *name == built.name).and_then(|place| u16::try_from(place).ok());
    let record = DriverRecord {
        name: built.name.clone(),
        device: device.unwrap_or(u16::MAX),
        exclusive: built.declared.as_ref().is_some_and(Declared::exclusive),
        ports: built.port_table(),
    };
    DriverSecret { record, identity: built.driver.identity() }
}

fn vendor_key(board: &BoardSecret, vendor: u16) -> Secret {
    let node_key = keys::node_key(&Secret::new(board.secret.0), &board.properties);
    keys::vendor_key(&node_key, vendor)
}

fn json(value: &impl serde::Serialize) -> Result<Zeroizing<Vec<u8>>, PlatformError> {
    let bytes = serde_json::to_vec(value).map_err(|error| PlatformError::Credential { reason: error.to_string() })?;
    Ok(Zeroizing::new(bytes))
}
