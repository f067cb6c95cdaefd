//! The benchmark's modules, from a template inside this program: as an application on two nodes, and on one that is verified.

use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use veritee_exec::home::Home;
use veritee_platform::framework;

/// Bytes of a payload that are not filling: its number, and the length of the filling.
const FRONT_BYTES: u16 = 10;

const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../bench/Cargo.toml.in")),
    ("messages/Cargo.toml", include_str!("../../bench/messages.toml.in")),
    ("messages/src/lib.rs", include_str!("../../bench/messages/src/lib.rs.in")),
    ("near/Cargo.toml", include_str!("../../bench/module.toml.in")),
    ("near/src/lib.rs", include_str!("../../bench/near/src/lib.rs")),
    ("far/Cargo.toml", include_str!("../../bench/module.toml.in")),
    ("far/src/lib.rs", include_str!("../../bench/far/src/lib.rs")),
];

/// Which project of these modules.
pub(crate) struct Project<'a> {
    /// Its folder, below the owner's.
    pub(crate) folder: &'a str,
    /// Its descriptor; `{platform}` and `{cipher}` in it are replaced.
    pub(crate) descriptor: &'a str,
    /// Kind of TEE.
    pub(crate) platform: &'a str,
    /// Cipher of the connections.
    pub(crate) cipher: &'a str,
    /// Bytes of a payload.
    pub(crate) payload: u16,
}

/// Writes the benchmark's project; gives its descriptor.
pub(super) fn write(platform: &str, cipher: &str, payload: u16) -> Result<PathBuf> {
    let descriptor = include_str!("../../bench/veritee.yaml.in");
    Project { folder: "bench", descriptor, platform, cipher, payload }.write()
}

impl Project<'_> {
    /// Writes the project below the owner's folder, so that a second run compiles less; gives its descriptor.
    pub(crate) fn write(&self) -> Result<PathBuf> {
        let Self { platform, cipher, payload, .. } = *self;
        ensure!(
            (FRONT_BYTES + 2..=4096).contains(&payload) && payload.is_multiple_of(2),
            "a payload of the benchmark has an even number of bytes between 12 and 4096"
        );
        let plain = |word: &str| word.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
        if !plain(platform) || !plain(cipher) {
            bail!("platforms and ciphers are words of letters, digits and dashes");
        }
        let folder = Home::of_user().folder().join(self.folder);
        let framework = framework()?;
        // Conditions of compilation that always and never hold: an enclave may not read the processor's clock.
        let clock = if platform == "sgx" { "any()" } else { "all()" };
        let rest = (payload - FRONT_BYTES).to_string();
        for (path, text) in FILES.iter().chain([&("veritee.yaml", self.descriptor)]) {
            let member = path.split('/').next().unwrap_or_default();
            let text = text
                .replace("{framework}", &framework.display().to_string())
                .replace("{member}", member)
                .replace("{rest}", &rest)
                .replace("{clock}", clock)
                .replace("{platform}", platform)
                .replace("{cipher}", cipher);
            put(&folder.join(path), &text)?;
        }
        let lock = folder.join("Cargo.lock");
        if !lock.exists() {
            let framework = framework.join("Cargo.lock");
            fs::copy(&framework, &lock).with_context(|| format!("cannot copy {}", framework.display()))?;
        }
        Ok(folder.join("veritee.yaml"))
    }
}

/// Writes a file. Unchanged files keep their age, so that nothing is compiled again.
fn put(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
