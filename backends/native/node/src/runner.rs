//! The runner: a process that enters one image for each call in its ring.

use crate::image::{Entry, map};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use veritee_runner::ring::BODY_BYTES_MAX;
use veritee_runner::sandbox::Limits;
use veritee_runner::{Batch, Body, Prepared, Server, refuse};

/// Operation of the first entry into an image.
const BOOT: u32 = 0;

/// Runs an instance until it is ended. `arguments`: the instance's folder, then options.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let Some((folder, options)) = arguments.split_first() else { return refuse("no folder") };
    let allow_unconfined = options.iter().any(|option| option == "--allow-unconfined");
    match start(Path::new(folder), allow_unconfined) {
        Ok(mut runner) => runner.run(),
        Err(reason) => refuse(&reason),
    }
}

/// Maps the image, boots it, and gives everything else up.
fn start(folder: &Path, allow_unconfined: bool) -> Result<Server<Native>, String> {
    let prepared = Prepared::open(folder)?;
    let entry = map(&prepared.image)?;
    let measurement: [u8; 32] = Sha256::digest(&prepared.image).into();
    let mut server = prepared.serve(Native { entry, output: vec![0; BODY_BYTES_MAX].into_boxed_slice() });
    server.confine(&[], &Limits { allow_unconfined, silent: None })?;
    let mut input = measurement;
    if server.body.call(BOOT, &mut input, BODY_BYTES_MAX) == 0 {
        return Err("the module does not start: no randomness".to_owned());
    }
    Ok(server)
}

/// A mapped image.
struct Native {
    entry: Entry,
    output: Box<[u8]>,
}

impl Native {
    /// Enters the image and gives the length of its output.
    fn call(&mut self, op: u32, input: &mut [u8], room: usize) -> usize {
        let output = &mut self.output[..room];
        // SAFETY: both areas are this process's own, distinct, and as long as said; only this thread touches them.
        let written = unsafe { (self.entry)(op, input.as_mut_ptr(), input.len(), output.as_mut_ptr(), room) };
        written.min(room)
    }
}

impl Body for Native {
    const CALLS_MAX: usize = 1;
    const EXTRA_BYTES: usize = 0;

    fn enter(&mut self, batch: &mut Batch, room: usize, sink: &mut dyn FnMut(&[u8])) -> Result<(), &'static str> {
        if let Some((op, input)) = batch.first() {
            let written = self.call(op, input, room);
            sink(&self.output[..written]);
        }
        Ok(())
    }
}
