//! The first process of an emulated TrustZone machine's normal world.
//!
//! It loads the kernel's modules, mounts the disk, starts the network, the supplicant and the node, and obeys the maker of
//! the machine on a virtual port ([`control`]). It is no shell and no service manager: one machine, one node.

mod control;
mod network;
mod services;

use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, init_module, reboot};
use std::fs;
use std::io::Write;
use std::path::Path;

/// What the maker of the machine put into the first file system.
const MACHINE: &str = "/machine";
/// The disk that survives.
const DISK: &str = "/data";

fn main() {
    match start() {
        Ok(()) => services::watch(),
        Err(reason) => {
            complain(&reason);
            power_off();
        }
    }
}

fn start() -> Result<(), String> {
    for (kind, target) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/tmp")] {
        fs::create_dir_all(target).map_err(|error| format!("cannot make {target}: {error}"))?;
        mount(kind, target, kind, MountFlags::empty(), None)
            .map_err(|error| format!("cannot mount {target}: {error}"))?;
    }
    load_modules()?;
    fs::create_dir_all(DISK).map_err(|error| format!("cannot make {DISK}: {error}"))?;
    mount("/dev/vda", DISK, "ext4", MountFlags::NOATIME, None)
        .map_err(|error| format!("cannot mount the disk: {error}"))?;
    network::start().map_err(|error| format!("cannot start the network: {error}"))?;
    services::start()?;
    control::start()
}

/// Loads the modules in the order that their file lists them in.
fn load_modules() -> Result<(), String> {
    let folder = Path::new(MACHINE).join("modules");
    let order = fs::read_to_string(folder.join("order")).map_err(|error| format!("no list of modules: {error}"))?;
    for name in order.lines() {
        let bytes = fs::read(folder.join(name)).map_err(|error| format!("cannot read {name}: {error}"))?;
        init_module(&bytes, c"").map_err(|error| format!("cannot load {name}: {error}"))?;
    }
    // Their memory is of no more use.
    fs::remove_dir_all(folder).map_err(|error| format!("cannot remove the modules: {error}"))
}

/// Says something on the machine's console.
fn complain(words: &str) {
    // Without a console nobody could hear it anyway.
    drop(writeln!(std::io::stderr(), "veritee-init: {words}"));
}

/// Everything to disk, then off.
fn power_off() -> ! {
    rustix::fs::sync();
    _ = rustix::mount::unmount(DISK, rustix::mount::UnmountFlags::empty());
    _ = reboot(RebootCommand::PowerOff);
    loop {
        std::thread::park();
    }
}
