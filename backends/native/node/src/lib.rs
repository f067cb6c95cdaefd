//! The node's side of the native platform: one sandboxed runner process an instance.
//!
//! `veritee_runner` has the rings, the daemon's end and the sandbox; [`runner`] is the other process: [`image`] maps the
//! image, then it is entered for each call in the ring.

mod image;
mod runner;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use veritee_host::{HostError, Hosted, LoadRequest, Platform};
use veritee_runner::Instance;

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
        Ok(Box::new(Instance::start(&self.program, &arguments, request)?))
    }

    fn adopt(&self, directory: &Path) -> Result<Box<dyn Hosted>, HostError> {
        Ok(Box::new(Instance::adopt(directory)?))
    }

    fn runner(&self, arguments: &[OsString]) -> ExitCode {
        runner::run(arguments)
    }
}
