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

/// Debian packages of the compiler and linker for microcontrollers, with the program that shows that each is there.
const COMPILERS: [(&str, &str); 2] = [("clang", "clang"), ("lld", "ld.lld")];

/// Installs clang and lld through apt where that is permitted. Says in one line what is missing otherwise; gives whether
/// modules for boards can be built.
pub(crate) fn compilers() -> Result<bool> {
    let missing = || COMPILERS.iter().filter(|(_, program)| !is_installed(program)).map(|(package, _)| *package);
    let packages: Vec<&str> = missing().collect();
    if packages.is_empty() {
        return Ok(true);
    }
    if is_root() && is_installed("apt-get") {
        eprintln!("installing {}", packages.join(", "));
        let install = [&["install", "--yes", "--quiet", "--no-install-recommends"], &packages[..]].concat();
        // The lists of packages may be old, or not be there yet.
        if output("apt-get", &install).is_err() {
            let _ = output("apt-get", &["update", "--quiet"]).and_then(|_| output("apt-get", &install));
        }
    }
    let left: Vec<&str> = missing().collect();
    if !left.is_empty() {
        println!(
            "skipped: modules in C and everything on boards, because {} cannot be installed here. \
             Install with: apt install {}",
            left.join(" and "),
            left.join(" ")
        );
    }
    Ok(left.is_empty())
}

/// Whether a program is in the search path.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether apt may be used without asking anybody.
fn is_root() -> bool {
    output("id", &["-u"]).is_ok_and(|id| id.trim() == "0")
}

/// Whether the pinned toolchain has a target.
pub(crate) fn has_target(target: &str) -> Result<bool> {
    let sysroot = output("rustc", &["--print", "sysroot"])?;
    Ok(std::path::Path::new(sysroot.trim()).join("lib/rustlib").join(target).join("lib").is_dir())
}
