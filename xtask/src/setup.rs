//! What a machine needs beside cargo.

use crate::stage::output;
use anyhow::Result;

/// The target on which modules are checked to need no operating system.
pub(crate) const BARE_METAL: &str = "x86_64-unknown-none";

/// Installs missing Rust targets. Without rustup, or without a network, says what is skipped.
pub(crate) fn targets() -> Result<()> {
    if has_target(BARE_METAL)? {
        return Ok(());
    }
    match output("rustup", &["target", "add", BARE_METAL]) {
        Ok(_) => println!("installed the Rust target {BARE_METAL}"),
        Err(_) => println!(
            "skipped: the Rust target {BARE_METAL} cannot be installed here; modules are built, but not checked to need \
             no operating system. Install it with: rustup target add {BARE_METAL}"
        ),
    }
    Ok(())
}

/// Whether the pinned toolchain has a target.
pub(crate) fn has_target(target: &str) -> Result<bool> {
    let sysroot = output("rustc", &["--print", "sysroot"])?;
    Ok(std::path::Path::new(sysroot.trim()).join("lib/rustlib").join(target).join("lib").is_dir())
}
