//! Building a native image from a module's crate.
//!
//! The image is the program that `veritee_toolchain` makes: a static-pie, entered at `veritee_enter`.

#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};
use std::path::PathBuf;
use veritee_platform::{BuildOrder, BuiltImage, PlatformError};
use veritee_toolchain::{Recipe, bad, ports};

/// What is native about a program.
const RECIPE: Recipe<'static> = Recipe {
    platform: "native",
    runtime: "backends/native/runtime",
    package: "veritee-native-runtime",
    entry: "veritee_enter",
    flags: &[],
};

/// Builds native images.
#[derive(Clone, Debug, Default)]
pub struct NativeBuilder {
    framework: Option<PathBuf>,
}

impl NativeBuilder {
    /// A builder that takes the framework's sources from a folder; the default one looks for them when it builds.
    #[must_use]
    pub fn new(framework: PathBuf) -> Self {
        Self { framework: Some(framework.canonicalize().unwrap_or(framework)) }
    }

    /// Builds an image and computes its measurement: SHA-256 over the file.
    ///
    /// # Errors
    /// [`PlatformError::MissingTool`], [`PlatformError::Build`], [`PlatformError::BadImage`] or
    /// [`PlatformError::System`], as said there.
    pub fn build(&self, order: &BuildOrder<'_>) -> Result<BuiltImage, PlatformError> {
        let program = veritee_toolchain::build(order, self.framework.as_deref(), &|_| RECIPE)?;
        let ports = ports::read(&program.bytes).map_err(|reason| bad(order, &reason))?;
        let measurement = Sha256::digest(&program.bytes).to_vec();
        let path = program.keep(order.module, &measurement, "image", &program.bytes)?;
        Ok(BuiltImage { path, measurement, ports, key: None, signer: None })
    }
}
