//! Dependency laws, on the resolved graph (docs/design/0001-house.md).

use anyhow::Result;
use xtask::metadata::{Metadata, Package};

/// Crates from a registry that the trusted part may name.
const TRUSTED_ALLOWED: &[&str] =
    &["aes-gcm", "ascon-aead128", "ed25519-dalek", "hkdf", "sha2", "subtle", "x25519-dalek", "zeroize"];

/// Trusted crates that the untrusted side of a node, or the owner's side, may reach.
const NODE_REACHES: &[&str] = &["veritee-ids", "veritee-wire"];
const OWNER_REACHES: &[&str] = &["veritee-ids", "veritee-wire", "veritee-seal"];

pub(super) fn check(_: bool) -> Result<Vec<String>> {
    let metadata = Metadata::read("Cargo.toml")?;
    let mut complaints = Vec::new();
    for member in metadata.members() {
        let Some(folder) = member.folder() else { continue };
        complaints.extend(trusted_law(&metadata, member, &folder));
        complaints.extend(reach_law(&metadata, member, &folder));
        complaints.extend(backend_law(&metadata, member, &folder));
    }
    Ok(complaints)
}

/// (1) and (4): nothing trusted depends on anything outside but the allow-list; trusted crates have no features.
fn trusted_law(metadata: &Metadata, member: &Package, folder: &str) -> Vec<String> {
    if !folder.starts_with("trusted/") && !folder.starts_with("ciphers/") {
        return Vec::new();
    }
    let outside = metadata.direct(&member.id).into_iter().filter(|dependency| match dependency.folder() {
        Some(folder) => !folder.starts_with("trusted/") && !folder.starts_with("ciphers/"),
        None => !TRUSTED_ALLOWED.contains(&dependency.name.as_str()),
    });
    let mut complaints: Vec<String> = outside
        .map(|dependency| format!("{} is trusted and may not depend on {}", member.name, dependency.name))
        .collect();
    if !member.features.is_empty() {
        complaints.push(format!("{} is trusted and may not have cargo features", member.name));
    }
    complaints
}

/// (2): node and deploy reach the trusted side only through what they are allowed to.
fn reach_law(metadata: &Metadata, member: &Package, folder: &str) -> Vec<String> {
    let reaches = match folder.split('/').next() {
        Some("node") => NODE_REACHES,
        Some("deploy") => OWNER_REACHES,
        _ => return Vec::new(),
    };
    let trusted = |package: &&Package| package.folder().is_some_and(|folder| folder.starts_with("trusted/"));
    metadata
        .direct(&member.id)
        .into_iter()
        .filter(trusted)
        .filter(|dependency| !reaches.contains(&dependency.name.as_str()))
        .map(|dependency| format!("{} may not reach {}", member.name, dependency.name))
        .collect()
}

/// (3): backends never see each other.
fn backend_law(metadata: &Metadata, member: &Package, folder: &str) -> Vec<String> {
    let Some(backend) = backend(folder) else { return Vec::new() };
    metadata
        .closure(&member.id)
        .into_iter()
        .filter(|dependency| {
            dependency.folder().is_some_and(|folder| self::backend(&folder).is_some_and(|other| other != backend))
        })
        .map(|dependency| format!("backend {backend} may not see {}", dependency.name))
        .collect()
}

/// The backend of a folder; what all of them share is none.
fn backend(folder: &str) -> Option<&str> {
    folder.strip_prefix("backends/")?.split('/').next().filter(|backend| *backend != "bare")
}
