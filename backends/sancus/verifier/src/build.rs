//! Images of modules: compiled once, linked where the node has room for them.

use std::path::{Path, PathBuf};
use veritee_platform::{BuildOrder, BuiltImage, PlatformError, PortTable, framework};
use veritee_sancus_format::{Image, ModuleImage, Placed};
use veritee_sancus_image::{Declared, ImageError, ModuleSource, Placement, Relocatable, Tools};

/// The compiler and linker of this machine, with the framework's sources.
pub(crate) fn tools() -> Result<Tools, PlatformError> {
    Tools::find(&framework()?).map_err(|error| failed("the board", error))
}

/// Compiles a module. Its image is finished when its place is known.
pub(crate) fn module(order: &BuildOrder<'_>) -> Result<BuiltImage, PlatformError> {
    (order.talk)("compiling");
    let compiled = ModuleSource::new(order.module, order.source).compile(&tools()?);
    let compiled = compiled.map_err(|error| failed(order.module, error))?;
    let table = compiled.declared().map(Declared::port_table).unwrap_or_default();
    let ports = PortTable::decode(&table).map_err(|_| bad(order.module, "its port table is malformed"))?;
    // Modules of one name from other sources are other modules.
    let path = place_for(order.target, &short(order.source.as_os_str().as_encoded_bytes()))?;
    let path = path.join(format!("{}.module", order.module));
    make_for(&path)?;
    compiled.save(&path).map_err(|error| failed(order.module, error))?;
    Ok(BuiltImage { path, measurement: Vec::new(), ports, key: None, signer: None })
}

/// A compiled module.
pub(crate) fn load(path: &Path) -> Result<Relocatable, PlatformError> {
    Relocatable::load(path).map_err(|error| failed(&name_of(path), error))
}

/// Links a module at its place: the bytes for the node, and the module's identity.
pub(crate) fn place(image: &BuiltImage, place: &[u8], vendor: u16) -> Result<(Vec<u8>, Vec<u8>), PlatformError> {
    let name = name_of(&image.path);
    let place = Placed::decode(place).map_err(|error| bad(&name, &format!("the node's place: {error}")))?;
    let compiled = load(&image.path)?;
    let placement = Placement {
        text_address: place.text_address,
        text_bytes: place.text_bytes,
        secret_address: place.secret_address,
        secret_bytes: place.secret_bytes,
    };
    let linked = compiled.place(&tools()?, placement).map_err(|error| failed(&name, error))?;
    let identity = linked.identity();
    let module = ModuleImage {
        vendor,
        text_address: linked.text_address,
        text: linked.text,
        secret_address: linked.secret_address,
        secret_bytes: linked.secret_bytes,
        room: compiled.room(),
        poll: compiled.poll(),
    };
    Ok((Image::Module(module).encode(), identity))
}

/// Writes a file among what is built.
pub(crate) fn keep(target: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, PlatformError> {
    let path = place_for(target, name)?;
    let written = std::fs::write(&path, bytes);
    written.map_err(|source| PlatformError::System { action: format!("write {}", path.display()), source })?;
    Ok(path)
}

fn place_for(target: &Path, name: &str) -> Result<PathBuf, PlatformError> {
    let path = target.join("veritee").join("sancus").join(name);
    make_for(&path)?;
    Ok(path)
}

/// Makes the folder of a file.
fn make_for(path: &Path) -> Result<(), PlatformError> {
    let folder = path.parent().unwrap_or(path);
    let made = std::fs::create_dir_all(folder);
    made.map_err(|source| PlatformError::System { action: format!("make {}", folder.display()), source })
}

/// A name for these bytes.
pub(crate) fn short(bytes: &[u8]) -> String {
    let hash = veritee_seal::sha256(bytes);
    crate::record::hex(hash.get(..4).unwrap_or_default())
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn bad(module: &str, reason: &str) -> PlatformError {
    PlatformError::BadImage { module: module.to_owned(), reason: reason.to_owned() }
}

/// The builder's errors, as the tool tells them.
pub(crate) fn failed(module: &str, error: ImageError) -> PlatformError {
    match error {
        ImageError::MissingTool { tool } => PlatformError::MissingTool {
            tool,
            advice: "install the Debian packages that Sancus images need: apt install clang lld".to_owned(),
        },
        ImageError::Tool { module, said } => PlatformError::Build { module, output: said },
        ImageError::System { action, source } => PlatformError::System { action, source },
        error => bad(module, &error.to_string()),
    }
}
