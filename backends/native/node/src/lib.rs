//! The node's side of the native platform: one sandboxed runner process an instance.
//!
//! [`ring`] is the shared memory between daemon and runner; [`bell`] wakes whoever sleeps; [`instance`] is the daemon's end;
//! [`runner`] is the other process: [`image`] maps the image, [`sandbox`] takes everything else away, then it enters the
//! image for each call in the ring.
//!
//! 1. Daemon and runner treat every cursor and length of the other as hostile.
//! 2. The ring is a file in the instance's folder: it survives the daemon, and the next daemon goes on with it.
//! 3. A runner lives until its daemon ends it; its death is noticed at once.

mod bell;
mod image;
mod instance;
pub mod ring;
mod runner;
mod sandbox;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use veritee_host::{HostError, Hosted, LoadRequest, Platform};

/// The native platform of a node.
#[derive(Clone, Debug)]
pub struct NativePlatform {
    program: PathBuf,
    leading: Vec<OsString>,
    allow_unconfined: bool,
}

impl NativePlatform {
    /// Runners are started as `program leading… runner native FOLDER`.
    #[must_use]
    pub const fn new(program: PathBuf) -> Self {
        Self { program, leading: Vec::new(), allow_unconfined: false }
    }

    /// Puts arguments before `runner`.
    #[must_use]
    pub fn with_leading(mut self, leading: Vec<OsString>) -> Self {
        self.leading = leading;
        self
    }

    /// Starts runners also where the kernel has no Landlock. Off by default: then they are refused.
    #[must_use]
    pub const fn allow_unconfined(mut self, allow: bool) -> Self {
        self.allow_unconfined = allow;
        self
    }
}

impl Platform for NativePlatform {
    fn name(&self) -> &'static str {
        "native"
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Hosted>, HostError> {
        let mut arguments = self.leading.clone();
        arguments.extend(["runner".into(), "native".into(), request.directory.into()]);
        if self.allow_unconfined {
            arguments.push("--allow-unconfined".into());
        }
        Ok(Box::new(instance::Instance::start(&self.program, &arguments, request)?))
    }

    fn adopt(&self, directory: &Path) -> Result<Box<dyn Hosted>, HostError> {
        Ok(Box::new(instance::Instance::adopt(directory)?))
    }

    fn runner(&self, arguments: &[OsString]) -> ExitCode {
        runner::run(arguments)
    }
}

/// Names an action that failed.
fn failed(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> HostError {
    let action = action.into();
    |source| HostError::System { action, source }
}
