//! Building modules as trusted applications, and what their providers do to them.
//!
//! `generated` writes the final crate into the target folder; `compile` compiles it with the owner's toolchain, without any kit; [`content`] names an
//! image after its content; [`sign`] is the provider's: a core loads only what his key signed.
//!
//! 1. Nothing is written into the author's tree.
//! 2. Equal sources, toolchain, owner and place give equal bytes, wherever they are built.
//! 3. A signer believes nothing that an image says of its own name.

mod compile;
pub mod content;
mod generated;
pub mod sign;

#[cfg(test)]
mod tests;

use object::{Object, ObjectSection};
use std::fs;
use std::path::{Path, PathBuf};
use veritee_ids::Freshness;
use veritee_platform::{BuildOrder, BuiltImage, Language, PlatformError, PortTable, check_framework, framework};
use veritee_toolchain::foreign::{self, Processor};
use veritee_toolchain::{system, write_changed};
use veritee_trustzone_format::service;
use veritee_wire::ports::SECTION;

/// Builds images of TrustZone modules.
#[derive(Clone, Debug, Default)]
pub struct TrustzoneBuilder {
    framework: Option<PathBuf>,
}

/// An image that has its place.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The image, unsigned.
    pub image: BuiltImage,
    /// Its content.
    pub content: content::Content,
}

impl TrustzoneBuilder {
    /// A builder that takes the framework's sources from a folder; the default one looks for them when it builds.
    #[must_use]
    pub fn new(framework: PathBuf) -> Self {
        Self { framework: Some(framework.canonicalize().unwrap_or(framework)) }
    }

    fn framework(&self) -> Result<PathBuf, PlatformError> {
        match &self.framework {
            Some(folder) => check_framework(folder).map(|()| folder.clone()),
            None => framework(),
        }
    }

    /// Builds an image. It has no place yet, hence no name: the measurement is empty.
    ///
    /// # Errors
    /// [`PlatformError::MissingTool`], [`PlatformError::Build`], [`PlatformError::BadImage`] or
    /// [`PlatformError::System`], as said there.
    pub fn build(&self, order: &BuildOrder<'_>) -> Result<BuiltImage, PlatformError> {
        let framework = self.framework()?;
        let _lock = veritee_toolchain::lock(order)?;
        let wrapped = match order.language {
            Language::Rust => None,
            Language::C => Some(foreign::wrap(order, &framework, Processor::ARM64)?),
        };
        let order = &BuildOrder { source: wrapped.as_deref().unwrap_or(order.source), ..*order };
        let module = veritee_toolchain::read_module(order)?;
        let folder = generated::module(order, &module, &framework)?;
        let job = compile::Job {
            name: order.module,
            folder: &folder,
            target: order.target,
            source: order.source,
            framework: &framework,
            talk: order.talk,
        };
        let program = compile::build(&job, &format!("veritee-image-{}", order.module))?;
        let mut bytes = read_program(&program)?;
        let identified = content::identify(&mut bytes, *order.owner, order.module);
        identified.map_err(|error| bad(order.module, &error.to_string()))?;
        let path = folder.join(format!("{}.elf", order.module));
        write_changed(&path, &bytes).map_err(system(format!("write {}", path.display())))?;
        let ports = ports(&bytes).map_err(|reason| bad(order.module, &reason))?;
        Ok(BuiltImage { path, measurement: Vec::new(), ports, key: None, signer: None })
    }

    /// Builds the attestation service; gives its program, unsigned.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_service(&self, target: &Path, talk: &(dyn Fn(&str) + Sync)) -> Result<Vec<u8>, PlatformError> {
        let framework = self.framework()?;
        let folder = generated::service(target, &framework)?;
        let job = compile::Job {
            name: "of the attestation service",
            folder: &folder,
            target,
            source: &framework,
            framework: &framework,
            talk,
        };
        let program = compile::build(&job, generated::SERVICE)?;
        read_program(&program)
    }
}

/// Reads what the linker made. It marks a program as GNU's when a section is kept by a flag of GNU's; that says nothing about how
/// the program is loaded, and a core loads none with that mark.
fn read_program(path: &Path) -> Result<Vec<u8>, PlatformError> {
    const ABI: usize = 7;
    let mut bytes = fs::read(path).map_err(system(format!("read {}", path.display())))?;
    if let Some(abi) = bytes.get_mut(ABI) {
        *abi = 0;
    }
    Ok(bytes)
}

/// Gives an image its place: writes vendor, freshness and name into a copy beside it. The measurement is the content's hash.
///
/// # Errors
/// [`PlatformError::BadImage`] when it is no image; [`PlatformError::System`].
pub fn place(image: &BuiltImage, vendor: u16, freshness: Freshness) -> Result<Placed, PlatformError> {
    let module = image.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut bytes = fs::read(&image.path).map_err(system(format!("read {}", image.path.display())))?;
    let content = content::place(&mut bytes, vendor, freshness).map_err(|error| bad(&module, &error.to_string()))?;
    let path = image.path.with_extension(format!("{}.elf", content.uuid));
    write_changed(&path, &bytes).map_err(system(format!("write {}", path.display())))?;
    let image =
        BuiltImage { path, measurement: content.hash.to_vec(), ports: image.ports.clone(), key: None, signer: None };
    Ok(Placed { image, content })
}

/// Signs the image of an owner's module, after recomputing its name from its content.
///
/// # Errors
/// [`PlatformError::BadImage`] when the image is none, names anything but its content, or belongs to another vendor id than its owner's;
/// [`PlatformError::Credential`] when the key does not sign.
pub fn sign_module(key: &sign::SigningKey, vendor: u16, image: &[u8]) -> Result<Vec<u8>, PlatformError> {
    let refused = |reason: String| bad("to be signed", &format!("not signed: {reason}"));
    let content = content::judge(image).map_err(|error| refused(error.to_string()))?;
    if content.uuid == service::UUID {
        return Err(refused("it has the name of the attestation service".to_owned()));
    }
    if content.identity.vendor != vendor {
        let other = content.identity.vendor;
        return Err(refused(format!("it is of vendor {other}, its owner is vendor {vendor} here")));
    }
    sign(key, content.uuid, image)
}

/// Signs the provider's own attestation service.
///
/// # Errors
/// [`PlatformError::Credential`] when the key does not sign.
pub fn sign_service(key: &sign::SigningKey, program: &[u8]) -> Result<Vec<u8>, PlatformError> {
    sign(key, service::UUID, program)
}

fn sign(key: &sign::SigningKey, uuid: veritee_trustzone_format::Uuid, image: &[u8]) -> Result<Vec<u8>, PlatformError> {
    let failed = |_| PlatformError::Credential { reason: "the provider's signing key does not sign".to_owned() };
    key.sign(uuid, image).map_err(failed)
}

/// Reads the port table of an image.
fn ports(image: &[u8]) -> Result<PortTable, String> {
    let file = object::File::parse(image).map_err(|error| format!("it is no ELF image: {error}"))?;
    let section = file.section_by_name(SECTION).ok_or("it has no port table")?;
    let bytes = section.data().map_err(|error| format!("its port table cannot be read: {error}"))?;
    PortTable::decode(bytes).map_err(|_| "its port table has another version or form".to_owned())
}

pub(crate) fn bad(module: &str, reason: &str) -> PlatformError {
    PlatformError::BadImage { module: module.to_owned(), reason: reason.to_owned() }
}
