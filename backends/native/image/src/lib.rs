//! Building a native image from a module's crate.
//!
//! `generated` writes the final crate into the target folder; `cargo` compiles it with the owner's toolchain;
//! `ports` reads the port table back out of the image.
//!
//! 1. Nothing is written into the author's tree.
//! 2. The module must build without an operating system: what builds here builds for an enclave.
//! 3. Equal sources, toolchain and owner give equal bytes, wherever they are built.

mod cargo;
mod generated;
mod ports;

#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};
use std::fs;
use std::path::PathBuf;
use veritee_platform::{BuildOrder, BuiltImage, Language, PlatformError};

/// Builds native images.
#[derive(Clone, Debug)]
pub struct NativeBuilder {
    framework: PathBuf,
}

impl Default for NativeBuilder {
    /// The framework's sources as `VERITEE_HOME` names them, or where this program was built.
    fn default() -> Self {
        let built_from = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.."));
        let framework = std::env::var_os("VERITEE_HOME").map_or_else(built_from, PathBuf::from);
        Self::new(framework)
    }
}

impl NativeBuilder {
    /// A builder that takes the framework's sources from a folder.
    #[must_use]
    pub fn new(framework: PathBuf) -> Self {
        Self { framework: framework.canonicalize().unwrap_or(framework) }
    }

    /// Builds an image and computes its measurement: SHA-256 over the file.
    ///
    /// # Errors
    /// [`PlatformError::MissingTool`], [`PlatformError::Build`], [`PlatformError::BadImage`] or
    /// [`PlatformError::System`], as said there.
    pub fn build(&self, order: &BuildOrder<'_>) -> Result<BuiltImage, PlatformError> {
        if order.language != Language::Rust {
            return Err(bad(order, "the native platform takes modules in Rust"));
        }
        if !self.framework.join("trusted").is_dir() {
            return Err(PlatformError::MissingTool {
                tool: format!("the sources of Veritee in {}", self.framework.display()),
                advice: "set VERITEE_HOME to a checkout".to_owned(),
            });
        }
        let module = generated::read_module(order)?;
        cargo::check_bare_metal(order, &module)?;
        let folder = generated::write(order, &module, &self.framework)?;
        let program = cargo::build(order, &folder, &self.framework)?;
        let bytes = fs::read(&program).map_err(system(format!("read {}", program.display())))?;
        let path = folder.join(format!("{}.image", order.module));
        fs::write(&path, &bytes).map_err(system(format!("write {}", path.display())))?;
        let ports = ports::read(&bytes).map_err(|reason| bad(order, &reason))?;
        Ok(BuiltImage { path, measurement: Sha256::digest(&bytes).to_vec(), ports })
    }
}

fn bad(order: &BuildOrder<'_>, reason: &str) -> PlatformError {
    PlatformError::BadImage { module: order.module.to_owned(), reason: reason.to_owned() }
}

fn system(action: String) -> impl FnOnce(std::io::Error) -> PlatformError {
    |source| PlatformError::System { action, source }
}
