//! The node's side of TrustZone: one trusted application a module, one runner process a session.
//!
//! [`signed`] finds the name of an image; [`tee`] is the kernel's interface to the secure world; [`runner`] keeps the session
//! of one instance; [`supplicant`] serves the secure world what it asks of this one, where the system has no supplicant of its own:
//! applications and, with [`storage`], its files.
//!
//! 1. The secure world checks everything itself. What this side does wrong costs liveness only.
//! 2. A session lives as long as its runner: a daemon that ends leaves its modules alive, as on every platform.
//! 3. Files of applications are put where the system's own supplicant looks, for as long as it takes to open the session.

mod runner;
pub mod signed;
mod storage;
mod supplicant;
pub mod tee;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use veritee_host::{HostError, Hosted, LoadRequest, Platform};
use veritee_runner::Instance;

/// Where supplicants look for trusted applications, unless they are told otherwise.
///
/// # Source
/// optee_client's `tee-supplicant/CMakeLists.txt`: `TEEC_LOAD_PATH` and `optee_armtz`.
pub const APPLICATIONS: &str = "/lib/optee_armtz";

/// The TrustZone platform of a node.
#[derive(Clone, Debug)]
pub struct TrustzonePlatform {
    program: PathBuf,
}

impl TrustzonePlatform {
    /// Runners are started as `program runner trustzone FOLDER`.
    #[must_use]
    pub const fn new(program: PathBuf) -> Self {
        Self { program }
    }
}

impl Platform for TrustzonePlatform {
    fn name(&self) -> &'static str {
        "trustzone"
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Hosted>, HostError> {
        signed::name_of(request.image).map_err(|reason| HostError::BadImage { reason: reason.to_owned() })?;
        if !Path::new(tee::CLIENT).exists() {
            let reason = format!("there is no {}: this node has no OP-TEE", tee::CLIENT);
            return Err(HostError::Unreachable { reason });
        }
        let arguments = ["runner".into(), "trustzone".into(), request.directory.into()];
        Ok(Box::new(Instance::start(&self.program, &arguments, request)?))
    }

    fn adopt(&self, directory: &Path) -> Result<Box<dyn Hosted>, HostError> {
        Ok(Box::new(Instance::adopt(directory)?))
    }

    fn runner(&self, arguments: &[OsString]) -> ExitCode {
        let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
        match words[..] {
            ["supplicant", applications, storage] => supplicant::run(applications.as_ref(), storage.as_ref()),
            ["enrol", service, keep] => runner::enrol(service, keep == "keep"),
            _ => runner::run(arguments),
        }
    }
}
