//! What a call of the tool changes in a descriptor: the kind of a node, the source of a module.

use crate::grammar::Variant;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::PathBuf;
use veritee_exec::ExecError;
use veritee_model::{Descriptor, Sources};

#[cfg(test)]
mod tests;

/// Applies what was wished, before the descriptor is judged.
pub(crate) fn apply(variant: &Variant, descriptor: &mut Descriptor) -> Result<()> {
    for wish in &variant.platform {
        platform(wish, descriptor)?;
    }
    for wish in &variant.source {
        source(wish, descriptor).with_context(|| format!("--source {wish}"))?;
    }
    Ok(())
}

/// `KIND` for all nodes, `NODE=KIND` for one.
fn platform(wish: &str, descriptor: &mut Descriptor) -> Result<()> {
    match wish.split_once('=') {
        Some((node, kind)) => kind.clone_into(&mut named(&mut descriptor.nodes, "node", node)?.platform),
        None => descriptor.nodes.values_mut().for_each(|node| wish.clone_into(&mut node.platform)),
    }
    Ok(())
}

/// `MODULE=LANGUAGE:FOLDER`.
fn source(wish: &str, descriptor: &mut Descriptor) -> Result<()> {
    let parts = wish.split_once('=').and_then(|(module, rest)| Some((module, rest.split_once(':')?)));
    let Some((module, (language, folder))) = parts.filter(|(.., (_, folder))| !folder.is_empty()) else {
        bail!("a source is said as MODULE=LANGUAGE:FOLDER, for instance gateway=c:gateway_c");
    };
    let folder = PathBuf::from(folder);
    let found = named(&mut descriptor.modules, "module", module)?;
    if found.driver.is_some() {
        bail!("{module} is a driver of its board's provider; it has no source here");
    }
    found.source = match language {
        "rust" => Sources { rust: Some(folder), c: None },
        "c" => Sources { rust: None, c: Some(folder) },
        _ => bail!("there is no language {language:?}; modules are written in rust or c"),
    };
    Ok(())
}

fn named<'a, T>(all: &'a mut BTreeMap<String, T>, what: &'static str, name: &str) -> Result<&'a mut T, ExecError> {
    let candidates = all.keys().cloned().collect();
    all.get_mut(name).ok_or_else(|| ExecError::NoSuch { what, name: name.to_owned(), candidates })
}
