//! The node's side of SGX: one sandboxed runner process an enclave, on hardware or in software.
//!
//! `veritee_runner` has the rings, the daemon's end and the sandbox; [`runner`] is the other process; [`software`] runs the
//! image where there is no SGX; [`service`] is a third process that holds the keys of the simulated [`platform`].
//!
//! 1. The same signed image runs on hardware and in software; it cannot tell, evidence can.
//! 2. No key of the platform is in a process that runs an enclave.
//! 3. A host is not trusted, and a module is not trusted by its host: a runner has one socket, two doorbells and a ring.

pub mod platform;
mod runner;
mod service;
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
/// Folder of the simulated platform's keys, in the node's.
const PLATFORM_FOLDER: &str = "sgx-platform";

/// SGX on a node.
#[derive(Clone, Debug)]
pub struct SgxPlatform {
    program: PathBuf,
    leading: Vec<OsString>,
    platform: Option<PathBuf>,
    allow_unconfined: bool,
    patience: Duration,
}

impl SgxPlatform {
    /// Runners are started as `program leading… runner sgx FOLDER …`.
    #[must_use]
    pub const fn new(program: PathBuf) -> Self {
        let patience = Duration::from_millis(PATIENCE_MS);
        Self { program, leading: Vec::new(), platform: None, allow_unconfined: false, patience }
    }

    /// Keeps the keys of the simulated platform in this folder, instead of beside the folder of all modules.
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

impl Platform for SgxPlatform {
    fn name(&self) -> &'static str {
        "sgx"
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Hosted>, HostError> {
        let mut arguments = self.leading.clone();
        arguments.extend(["runner".into(), "sgx".into(), request.directory.into()]);
        arguments.extend(["--platform".into(), self.platform_folder(request.directory).into()]);
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
