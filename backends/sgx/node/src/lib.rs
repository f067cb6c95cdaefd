//! The node's side of SGX: one sandboxed runner process an enclave, on hardware or in software.
//!
//! `veritee_runner` has the rings, the daemon's end and the sandbox; [`runner`] is the other process; it enters the enclave by
//! [`entry`]. [`software`] runs the image where there is no SGX; `hardware` loads it through the kernel's driver (the feature
//! `sgx-hardware`). [`service`] is a third process that holds the keys of the simulated [`platform`], or asks for quotes.
//!
//! 1. The same signed image runs on hardware and in software; it cannot tell, evidence can.
//! 2. No key of the platform is in a process that runs an enclave.
//! 3. A host is not trusted, and a module is not trusted by its host: a runner has one socket, two doorbells and a ring.

mod entry;
#[cfg(feature = "sgx-hardware")]
mod hardware;
mod pages;
pub mod platform;
mod runner;
mod service;
mod signals;
mod software;

// Tests inside and outside share a file.
#[cfg(test)]
extern crate self as veritee_sgx_node;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use veritee_host::{HostError, Hosted, LoadRequest, Platform};
use veritee_runner::Instance;

/// Milliseconds of the processor's time that one crossing into an enclave may take.
pub(crate) const PATIENCE_MS: u64 = 10_000;
/// The kernel's driver.
const DEVICE: &str = "/dev/sgx_enclave";
/// What is said where hardware is asked for in vain.
#[cfg(not(feature = "sgx-hardware"))]
pub(crate) const NO_HARDWARE: &str = "this program was built without the feature `sgx-hardware`";
/// Folder of the simulated platform's keys, or of the real one's collateral, in the node's.
const PLATFORM_FOLDER: &str = "sgx-platform";

/// SGX on a node.
#[derive(Clone, Debug)]
pub struct SgxPlatform {
    program: PathBuf,
    leading: Vec<OsString>,
    platform: Option<PathBuf>,
    /// The device, and the socket of the quoting service.
    hardware: Option<(PathBuf, PathBuf)>,
    allow_unconfined: bool,
    patience: Duration,
}

impl SgxPlatform {
    /// Runners are started as `program leading… runner sgx FOLDER …`. On hardware where there is some, in software otherwise.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        let patience = Duration::from_millis(PATIENCE_MS);
        let hardware = hardware_here();
        Self { program, leading: Vec::new(), platform: None, hardware, allow_unconfined: false, patience }
    }

    /// Runs enclaves through this device, and has their quotes made behind this socket.
    #[cfg(feature = "sgx-hardware")]
    #[must_use]
    pub fn on_hardware(mut self, device: PathBuf, aesm: PathBuf) -> Self {
        self.hardware = Some((device, aesm));
        self
    }

    /// Runs enclaves in software, whatever the machine has.
    #[must_use]
    pub fn in_software(mut self) -> Self {
        self.hardware = None;
        self
    }

    /// Keeps the keys of the simulated platform, or the collateral of the real one, in this folder, instead of beside the folder of all modules.
    #[must_use]
    pub fn with_platform(mut self, folder: PathBuf) -> Self {
        self.platform = Some(folder);
        self
    }

    /// Starts runners also where the kernel has no Landlock. Off by default: then they are refused.
    #[must_use]
    pub const fn allow_unconfined(mut self, allow: bool) -> Self {
        self.allow_unconfined = allow;
        self
    }

    /// Ends an enclave that does not come back in this time of the processor; in steps of a tenth of a second.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Why this machine cannot run SGX images in software; nothing if it can.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn software_supported() -> Result<(), String> {
        software::supported()
    }

    /// A node keeps an instance in `modules/NUMBER/instance`.
    fn platform_folder(&self, directory: &Path) -> PathBuf {
        let node = || directory.ancestors().nth(3).unwrap_or(directory).join(PLATFORM_FOLDER);
        self.platform.clone().unwrap_or_else(node)
    }
}

/// The machine's device and quoting service, if this program can use them.
fn hardware_here() -> Option<(PathBuf, PathBuf)> {
    #[cfg(feature = "sgx-hardware")]
    return Path::new(DEVICE).exists().then(|| (DEVICE.into(), hardware::aesm::SOCKET.into()));
    #[cfg(not(feature = "sgx-hardware"))]
    None
}

impl Platform for SgxPlatform {
    fn name(&self) -> &'static str {
        "sgx"
    }

    fn here(&self) -> Option<String> {
        if let Some((device, socket)) = &self.hardware {
            return Some(format!("on hardware: {}, quotes by {}", device.display(), socket.display()));
        }
        let built = if cfg!(feature = "sgx-hardware") { "with" } else { "without" };
        let device = if Path::new(DEVICE).exists() { "is there" } else { "is not there" };
        let how =
            Self::software_supported().map_or_else(|reason| format!("not at all: {reason}"), |()| "in software".into());
        Some(format!("{how}; built {built} the feature sgx-hardware, {DEVICE} {device}"))
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Hosted>, HostError> {
        let mut arguments = self.leading.clone();
        let platform = self.platform_folder(request.directory);
        let hardware = self.hardware.as_ref().map(|(device, socket)| (device.as_path(), socket.as_path()));
        let places = runner::Places { folder: request.directory, platform: &platform, hardware };
        arguments.extend(["runner".into(), "sgx".into()]);
        arguments.extend(places.arguments("--platform"));
        arguments.extend(["--patience-ms".into(), self.patience.as_millis().to_string().into()]);
        if self.allow_unconfined {
            arguments.push("--allow-unconfined".into());
        }
        Ok(Box::new(Instance::start(&self.program, &arguments, request)?))
    }

    fn adopt(&self, directory: &Path) -> Result<Box<dyn Hosted>, HostError> {
        Ok(Box::new(Instance::adopt(directory)?))
    }

    fn runner(&self, arguments: &[OsString]) -> ExitCode {
        runner::run(arguments)
    }
}
