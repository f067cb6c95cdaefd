//! Putting a machine together: a folder with its flash, kernel, first file system and disk.
//!
//! | file | content |
//! |---|---|
//! | `flash` | monitor, manifest, OP-TEE's core with the provider's key |
//! | `kernel`, `initramfs` | the normal world's |
//! | `disk` | the normal world's file system: node identity, outbox, storage of the secure world; it survives |
//! | `tree` | the device tree, made anew at every start |
//! | `control` | while it runs: the socket of its control port |
//! | `pid` | QEMU's process id, of the last start |
//! | `console`, `secure` | what both worlds said on their UARTs |

use crate::archive::Archive;
use crate::flash::{Flash, replace_once};
use crate::tree::Tree;
use crate::{MachineError, Packages, Programs, read, system, write};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a machine is made of.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Its folder; it must not exist, or be empty.
    pub folder: &'a Path,
    /// What others built.
    pub packages: &'a Packages,
    /// What we built.
    pub programs: &'a Programs,
    /// Modulus of the provider's key that trusted applications are signed with, big-endian, as long as the kit's. `None` keeps the
    /// kit's, which everybody has: only for tests.
    pub key: Option<&'a [u8]>,
    /// Trusted applications that are there from the start, signed: file name (`UUID.ta`) and bytes.
    pub applications: &'a [(String, Vec<u8>)],
    /// Lines for the node's configuration beside `state`, `listen` and `platforms`: top-level keys first.
    pub node_config: &'a str,
    /// For tests: a program named `visitor`, and the files that lie beside it. Empty for machines that nobody visits.
    pub visitor: &'a [(String, Vec<u8>)],
    /// Size of the disk in MiB.
    pub disk_mib: u32,
}

/// A machine that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    folder: PathBuf,
}

impl Machine {
    /// Makes a machine.
    ///
    /// # Errors
    /// [`MachineError::BadPart`] when a part is not as expected, [`MachineError::Missing`] without `mke2fs`, [`MachineError::System`].
    pub fn make(order: &Order<'_>) -> Result<Self, MachineError> {
        fs::create_dir_all(order.folder).map_err(system(format!("make {}", order.folder.display())))?;
        let (payload_address, mut payload) = order.packages.core()?;
        if let Some(key) = order.key {
            replace_once(&mut payload, "the key of trusted applications", &order.packages.default_key()?, key)?;
        }
        let flash = Flash {
            monitor: &order.programs.monitor,
            payload: &payload,
            payload_address,
            device_tree: TREE,
            normal_entry: KERNEL,
        };
        let machine = Self { folder: order.folder.to_owned() };
        write(&machine.file("flash"), &flash.write()?)?;
        let kernel = order.packages.kernel()?;
        if kernel.len() as u64 + (4 << 20) > TREE - KERNEL {
            return Err(MachineError::part("the kernel", "it is longer than its place in RAM"));
        }
        write(&machine.file("kernel"), &kernel)?;
        write(&machine.file("initramfs"), &first_file_system(order)?)?;
        machine.make_disk(order.disk_mib)?;
        Ok(machine)
    }

    /// A machine that was made before.
    ///
    /// # Errors
    /// [`MachineError::Machine`] when the folder holds none.
    pub fn open(folder: &Path) -> Result<Self, MachineError> {
        let machine = Self { folder: folder.to_owned() };
        let missing = ["flash", "kernel", "initramfs", "disk"].into_iter().find(|name| !machine.file(name).is_file());
        match missing {
            Some(name) => Err(machine.trouble(format!("it has no {name}"))),
            None => Ok(machine),
        }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn trouble(&self, reason: String) -> MachineError {
        MachineError::Machine { folder: self.folder.clone(), reason }
    }

    /// An empty file system in a sparse file.
    fn make_disk(&self, mib: u32) -> Result<(), MachineError> {
        let path = self.file("disk");
        let file = fs::File::create_new(&path).map_err(system(format!("create {}", path.display())))?;
        file.set_len(u64::from(mib) << 20).map_err(system(format!("size {}", path.display())))?;
        drop(file);
        let program = ["mke2fs", "/sbin/mke2fs", "/usr/sbin/mke2fs"].into_iter().find_map(|program| {
            Command::new(program).args(["-q", "-F", "-t", "ext4", "-L", "veritee"]).arg(&path).status().ok()
        });
        match program {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.trouble(format!("mke2fs failed ({status})"))),
            None => {
                Err(MachineError::Missing { what: "mke2fs".to_owned(), reason: "apt-get install e2fsprogs".to_owned() })
            }
        }
    }

    /// QEMU's own description of the machine becomes the one that both worlds get.
    ///
    /// It is made at every start, because QEMU puts fresh randomness for the kernel into it.
    pub(crate) fn patch_tree(&self, dumped: &[u8]) -> Result<(), MachineError> {
        let mut tree =
            Tree::read(dumped).map_err(|error| MachineError::part("QEMU's device tree", &error.to_string()))?;
        let initramfs = fs::metadata(self.file("initramfs")).map_err(system("look at the initramfs".to_owned()))?;
        // The monitor is what answers the calls of PSCI; without firmware of its own QEMU names nobody.
        let psci = tree.root.child("psci");
        psci.set("compatible", b"arm,psci-1.0\0arm,psci-0.2\0".to_vec());
        psci.set_text("method", "smc");
        let chosen = tree.root.child("chosen");
        chosen.set_text("bootargs", BOOT_ARGUMENTS);
        chosen.set("linux,initrd-start", INITRAMFS.to_be_bytes().to_vec());
        chosen.set("linux,initrd-end", (INITRAMFS + initramfs.len()).to_be_bytes().to_vec());
        write(&self.file("tree"), &tree.write(TREE_ROOM))
    }

    /// Arguments of QEMU beside those of the first step and of the network.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let loader = |file: &str, address: u64| format!("loader,file={file},addr={address:#x},force-raw=on");
        let mut arguments = vec!["-device".to_owned(), loader("kernel", KERNEL)];
        for (file, address) in [("tree", TREE), ("initramfs", INITRAMFS)] {
            arguments.extend(["-device".to_owned(), loader(file, address)]);
        }
        arguments
    }
}

/// What the kernel unpacks into its first file system.
fn first_file_system(order: &Order<'_>) -> Result<Vec<u8>, MachineError> {
    let mut archive = Archive::default();
    for folder in ["dev", "proc", "sys", "tmp", "data", "lib", "machine", "machine/modules", "machine/applications"] {
        archive.folder(folder);
    }
    archive.program("init", &order.programs.init);
    archive.program("veritee-node", &order.programs.node);
    let config = format!("state = \"/data/node\"\nlisten = [\"0.0.0.0:{NODE_PORT}\"]\n{}", order.node_config);
    archive.file("machine/node.toml", config.as_bytes());
    let modules = order.packages.modules()?;
    let names: Vec<&str> = modules.iter().map(|(name, _)| name.as_str()).collect();
    archive.file("machine/modules/order", names.join("\n").as_bytes());
    for (name, bytes) in &modules {
        archive.file(&format!("machine/modules/{name}"), bytes);
    }
    for (name, bytes) in order.applications {
        archive.file(&format!("machine/applications/{name}"), bytes);
    }
    if !order.visitor.is_empty() {
        archive.folder("machine/visitor");
    }
    for (name, bytes) in order.visitor {
        let path = format!("machine/visitor/{name}");
        if name == "visitor" { archive.program(&path, bytes) } else { archive.file(&path, bytes) }
    }
    let bytes = archive.finish();
    if bytes.len() as u64 > RAM_END - INITRAMFS - (64 << 20) {
        return Err(MachineError::part("the first file system", "it leaves no memory"));
    }
    Ok(bytes)
}

/// The key of a machine that keeps the kit's is everybody's.
pub(crate) fn reads(machine: &Machine, name: &str) -> String {
    read(&machine.file(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Places in normal RAM: OP-TEE shares 2 MiB with the normal world from 0x4200_0000 on.
const KERNEL: u64 = 0x4400_0000;
const TREE: u64 = 0x4a00_0000;
const INITRAMFS: u64 = 0x4c00_0000;
pub(crate) const RAM_MIB: u64 = 512;
const RAM_END: u64 = 0x4000_0000 + (RAM_MIB << 20);
/// OP-TEE adds its own nodes.
const TREE_ROOM: usize = 0x1_0000;
/// The node's port inside the machine.
pub(crate) const NODE_PORT: u16 = 7654;
/// A kernel that panics restarts the machine, which ends QEMU.
const BOOT_ARGUMENTS: &str = "console=ttyAMA0 quiet loglevel=4 panic=-1 rdinit=/init";
