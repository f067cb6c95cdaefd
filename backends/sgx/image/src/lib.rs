//! Building a signed SGX image from a module's crate.
//!
//! `veritee_toolchain` makes a program; [`elf`] reads it; [`scan`] refuses what a processor refuses inside an enclave;
//! [`pack`] lays the enclave out; [`key`] has the owner's signing key; [`inspect`] shows an image.
//!
//! 1. Everything that is trusted is measured. What is not is written by the enclave before it is read.
//! 2. The signature leaves the host no attribute to choose: an image of ours is never debugged.
//! 3. Equal sources, toolchain, owner and signing key give equal bytes.
//!
//! A module chooses in its manifest, in `[package.metadata.veritee.sgx]`: `hardened = true` (against load value injection; slower),
//! `version = 2` (ISVSVN, default 1), `product = 7` (ISVPRODID, default 0).

mod elf;
pub mod inspect;
mod key;
mod pack;
mod scan;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use veritee_platform::{BuildOrder, BuiltImage, PlatformError};
use veritee_sgx_format::{Sigstruct, image, sgxs};
use veritee_toolchain::{Recipe, bad, ports};

pub use key::SigningKey;

/// What is particular to SGX about a program. The processor's features are fixed: inside an enclave nobody can ask for them.
const RECIPE: Recipe<'static> = Recipe {
    platform: "sgx",
    runtime: "backends/sgx/runtime",
    package: "veritee-sgx-runtime",
    entry: "veritee_sgx_entry",
    flags: &[FEATURES, BACKEND, ENVIRONMENT, ALLOWED],
};
/// With every load followed by a fence, and no indirect branch through memory.
const HARDENED: Recipe<'static> = Recipe {
    flags: &[FEATURES, BACKEND, ENVIRONMENT, ALLOWED, "-Ctarget-feature=+lvi-load-hardening,+lvi-cfi"],
    ..RECIPE
};
const FEATURES: &str = "-Ctarget-feature=+avx,+aes,+pclmulqdq,+sha,+rdrand";
const BACKEND: &str = "--cfg=curve25519_dalek_backend=\"serial\"";
/// Says to crates that choose code at run time that CPUID cannot be executed here. The precompiled core is that of the host's
/// target, which differs from SGX's own in the system library only; an image has none.
const ENVIRONMENT: &str = "--cfg=target_env=\"sgx\"";
const ALLOWED: &str = "-Aexplicit_builtin_cfgs_in_flags";

/// Builds SGX images.
#[derive(Clone, Debug, Default)]
pub struct SgxBuilder {
    framework: Option<PathBuf>,
    key: Option<SigningKey>,
}

/// What a module's manifest chooses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Choice {
    hardened: bool,
    version: u16,
    product: u16,
}

impl SgxBuilder {
    /// A builder that takes the framework's sources from a folder; the default one looks for them when it builds.
    #[must_use]
    pub fn new(framework: PathBuf) -> Self {
        Self { framework: Some(framework.canonicalize().unwrap_or(framework)), key: None }
    }

    /// Signs with this key, instead of the one in the file that `VERITEE_SGX_KEY` names, or that of the target folder.
    #[must_use]
    pub fn signed_by(mut self, key: SigningKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Builds and signs an image; its measurement is MRENCLAVE.
    ///
    /// # Errors
    /// [`PlatformError::MissingTool`], [`PlatformError::Build`], [`PlatformError::BadImage`] or [`PlatformError::System`], as
    /// said there.
    pub fn build(&self, order: &BuildOrder<'_>) -> Result<BuiltImage, PlatformError> {
        let recipe = |manifest: &toml::Table| if choice(manifest).hardened { HARDENED } else { RECIPE };
        let program = veritee_toolchain::build(order, self.framework.as_deref(), &recipe)?;
        let refuse = |reason: String| bad(order, &reason);
        let plan = elf::read(&program.bytes).map_err(refuse)?;
        scan::check(&plan).map_err(refuse)?;
        let stream = pack::lay_out(&plan).map_err(refuse)?.write();
        let measurement = sgxs::measure(&stream);
        let choice = choice(&program.manifest);
        let mut sigstruct = Sigstruct::unsigned(measurement, choice.product, choice.version);
        match &self.key {
            Some(key) => key.sign(&mut sigstruct),
            None => SigningKey::of_owner(order)?.sign(&mut sigstruct),
        }
        .map_err(refuse)?;
        let file = image::write(&sigstruct, &stream);
        let path = program.keep(order.module, &measurement, "sgx", &file)?;
        let ports = ports::read(&program.bytes).map_err(refuse)?;
        let signer = Some(sigstruct.signer().to_vec());
        Ok(BuiltImage { path, measurement: measurement.to_vec(), key: None, ports, signer })
    }
}

fn choice(manifest: &toml::Table) -> Choice {
    let chosen =
        ["package", "metadata", "veritee", "sgx"].iter().try_fold(manifest, |table, key| match table.get(*key) {
            Some(toml::Value::Table(inner)) => Some(inner),
            _ => None,
        });
    let number =
        |key: &str| chosen.and_then(|table| table.get(key)?.as_integer()).and_then(|value| value.try_into().ok());
    Choice {
        hardened: chosen.and_then(|table| table.get("hardened")?.as_bool()).unwrap_or(false),
        version: number("version").unwrap_or(1),
        product: number("product").unwrap_or(0),
    }
}
