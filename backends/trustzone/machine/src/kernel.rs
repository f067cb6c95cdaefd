//! The kernel of the normal world and the modules that it needs.

use crate::{MachineError, read};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Modules that a machine needs, by the kernel's names, in the order of their use.
pub const MODULES: &[&str] = &["virtio_mmio", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng", "optee"];

/// Takes a kernel's bytes as they are started: a raw image, unpacked if need be.
///
/// # Source
/// Linux, `Documentation/arch/arm64/booting.rst`: `ARM\x64` at 56; gzip by its mark (RFC 1952).
///
/// # Errors
/// [`MachineError::BadPart`] when it is neither raw nor gzip, [`MachineError::System`] when it cannot be unpacked.
pub fn raw_image(bytes: Vec<u8>) -> Result<Vec<u8>, MachineError> {
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) { filter("gzip", &["-dc"], &bytes)? } else { bytes };
    match bytes.get(56..60) {
        Some(b"ARM\x64") => Ok(bytes),
        _ if bytes.get(4..8) == Some(b"zimg") => {
            Err(MachineError::part("the kernel", "it unpacks itself under EFI only; take a raw one"))
        }
        _ => Err(MachineError::part("the kernel", "it is no raw arm64 image, nor one packed by gzip")),
    }
}

/// The kernel of an unpacked package.
///
/// # Errors
/// [`MachineError::BadPart`] when there is none.
pub fn find(package: &Path) -> Result<PathBuf, MachineError> {
    let found = files(&package.join("boot"), &|name| name.starts_with("vmlinuz-"))?;
    found.into_iter().next().ok_or_else(|| MachineError::part("the kernel's package", "it has no kernel"))
}

/// The modules of an unpacked package that are needed, with what they depend on, in the order in which they load. Those that are
/// not there are part of the kernel itself.
///
/// # Errors
/// [`MachineError::System`] when files cannot be read or unpacked.
pub fn modules(package: &Path) -> Result<Vec<(String, Vec<u8>)>, MachineError> {
    let mut all = BTreeMap::new();
    for root in ["lib/modules", "usr/lib/modules"] {
        for path in files(&package.join(root), &|name| name.contains(".ko"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let stem = name.split(".ko").next().unwrap_or_default();
            all.insert(stem.replace('-', "_"), path);
        }
    }
    let mut chosen = Vec::new();
    for name in MODULES {
        choose(name, &all, &mut chosen)?;
    }
    Ok(chosen)
}

fn choose(
    name: &str, all: &BTreeMap<String, PathBuf>, chosen: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), MachineError> {
    let file = format!("{name}.ko");
    let Some(path) = all.get(name) else { return Ok(()) };
    if chosen.iter().any(|(known, _)| *known == file) {
        return Ok(());
    }
    let bytes = unpack(path)?;
    for dependency in dependencies(&bytes) {
        choose(&dependency, all, chosen)?;
    }
    chosen.push((file, bytes));
    Ok(())
}

/// What a module depends on: `depends=` among its `.modinfo` texts.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(start) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let value = module[start + KEY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value);
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

fn unpack(path: &Path) -> Result<Vec<u8>, MachineError> {
    let bytes = read(path)?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => filter("xz", &["-dc"], &bytes),
        Some("zst") => filter("zstd", &["-dc"], &bytes),
        Some("gz") => filter("gzip", &["-dc"], &bytes),
        _ => Ok(bytes),
    }
}

/// Sends bytes through a program.
fn filter(program: &str, arguments: &[&str], bytes: &[u8]) -> Result<Vec<u8>, MachineError> {
    let failed = |source| MachineError::System { action: format!("run {program}"), source };
    let mut child =
        Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
    let mut input = child.stdin.take().ok_or_else(|| failed(std::io::ErrorKind::BrokenPipe.into()))?;
    let output = std::thread::scope(|scope| {
        // Both pipes at once: neither may fill up.
        scope.spawn(move || std::io::Write::write_all(&mut input, bytes));
        child.wait_with_output()
    });
    let output = output.map_err(failed)?;
    if output.status.success() { Ok(output.stdout) } else { Err(failed(std::io::ErrorKind::InvalidData.into())) }
}

/// Files below a folder whose names fit, sorted. A folder that is not there has none.
fn files(folder: &Path, fits: &dyn Fn(&str) -> bool) -> Result<Vec<PathBuf>, MachineError> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        let entries = std::fs::read_dir(&folder).map_err(crate::system(format!("read {}", folder.display())))?;
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if fits(&entry.file_name().to_string_lossy()) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests;
