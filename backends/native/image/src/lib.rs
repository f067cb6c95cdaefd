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
use veritee_platform::{BuildOrder, BuiltImage, Language, PlatformError, check_framework, framework};

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
        if order.language != Language::Rust {
            return Err(bad(order, "the native platform takes modules in Rust"));
        }
        let framework = match &self.framework {
            Some(folder) => check_framework(folder).map(|()| folder.clone())?,
            None => framework()?,
        };
        let module = generated::read_module(order)?;
        cargo::check_bare_metal(order, &module)?;
        let folder = generated::write(order, &module, &framework)?;
        let program = cargo::build(order, &folder, &framework)?;
        let bytes = fs::read(&program).map_err(system(format!("read {}", program.display())))?;
        let path = folder.join(format!("{}.image", order.module));
        generated::write_changed(&path, &bytes).map_err(system(format!("write {}", path.display())))?;
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
