//! What a machine needs beside cargo.

use anyhow::Result;
use xtask::PACKAGES;
use xtask::stage::output;

/// The target on which modules are checked to need no operating system.
pub(crate) const BARE_METAL: &str = "x86_64-unknown-none";

/// The targets of emulated TrustZone machines: monitor and applications, and the programs of the normal world.
pub(crate) const TRUSTZONE: [&str; 2] = ["aarch64-unknown-none-softfloat", "aarch64-unknown-linux-musl"];

/// Installs missing Rust targets. Without rustup, or without a network, says what is skipped.
pub(crate) fn targets() -> Result<()> {
    for (target, without) in TARGETS {
        if has_target(target)? {
            continue;
        }
        match output("rustup", &["target", "add", target]) {
            Ok(_) => println!("installed the Rust target {target}"),
            Err(_) => println!(
                "skipped: the Rust target {target} cannot be installed here; {without}. Install it with: rustup target add {target}"
            ),
        }
    }
    Ok(())
}

/// All targets beside this machine's own, and what is missing without each.
const TARGETS: [(&str, &str); 3] = [
    (BARE_METAL, "modules are built, but not checked to need no operating system"),
    (TRUSTZONE[0], "trusted applications are neither built nor tested"),
    (TRUSTZONE[1], "there are no emulated TrustZone machines"),
];

/// Gets what emulated TrustZone machines need: targets, QEMU, Debian's OP-TEE and kernel for arm64. Says in one line what is missing
/// otherwise; gives whether there can be such machines.
pub(crate) fn trustzone() -> Result<bool> {
    let skip = |missing: &str, advice: &str| {
        println!("skipped: everything on TrustZone, because {missing} cannot be had here. Install with: {advice}");
        Ok(false)
    };
    for target in TRUSTZONE {
        if !has_target(target)? && output("rustup", &["target", "add", target]).is_err() {
            return skip(&format!("the Rust target {target}"), &format!("rustup target add {target}"));
        }
    }
    install(&MACHINES);
    let left: Vec<&str> =
        MACHINES.iter().filter(|(_, program)| !is_installed(program)).map(|(name, _)| *name).collect();
    if !left.is_empty() {
        return skip(&left.join(" and "), &format!("apt install {}", left.join(" ")));
    }
    eprintln!("looking for Debian's OP-TEE and kernel for arm64 (the first time they are fetched; some tens of MB)");
    // A program of its own knows how to get them, and says why it cannot.
    let packages = ["run", "--quiet", "--locked", "--package", "veritee-derived", "--", "packages", PACKAGES];
    match output("cargo", &packages) {
        Ok(_) => Ok(true),
        Err(error) => {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("xtask: ");
            skip("OP-TEE", &format!("Debian's optee-os, optee-os-dev and linux-image-cloud-arm64 for arm64 ({reason})"))
        }
    }
}

/// Debian packages of emulated machines, with the program that shows that each is there.
const MACHINES: [(&str, &str); 3] =
    [("qemu-system-arm", "qemu-system-aarch64"), ("e2fsprogs", "mke2fs"), ("clang", "clang")];

/// Debian packages of the compiler and linker for microcontrollers, with the program that shows that each is there.
const COMPILERS: [(&str, &str); 2] = [("clang", "clang"), ("lld", "ld.lld")];

/// Installs clang and lld through apt where that is permitted. Says in one line what is missing otherwise; gives whether
/// modules for boards can be built.
pub(crate) fn compilers() -> Result<bool> {
    install(&COMPILERS);
    let left: Vec<&str> =
        COMPILERS.iter().filter(|(_, program)| !is_installed(program)).map(|(name, _)| *name).collect();
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

/// Installs packages whose programs are missing, through apt where that is permitted.
fn install(wanted: &[(&str, &str)]) {
    let missing = wanted.iter().filter(|(_, program)| !is_installed(program)).map(|(package, _)| *package);
    let packages: Vec<&str> = missing.collect();
    if packages.is_empty() || !is_root() || !is_installed("apt-get") {
        return;
    }
    eprintln!("installing {}", packages.join(", "));
    let install = [&["install", "--yes", "--quiet", "--no-install-recommends"], &packages[..]].concat();
    // The lists of packages may be old, or not be there yet. What is still missing then is seen by who asked.
    if output("apt-get", &install).is_err() {
        let _ = output("apt-get", &["update", "--quiet"]).and_then(|_| output("apt-get", &install));
    }
}

/// Whether a program is in the search path, or where the system keeps those of its administrator.
pub(crate) fn is_installed(program: &str) -> bool {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/sbin:/usr/sbin");
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
