//! SGX hardware: the very image that runs in software, through the kernel's driver.
//!
//! In the order data meets them: [`load`] creates the enclave with the structures of [`kernel`] and maps its pages; [`vdso`] finds
//! the kernel's function that enters it; [`aesm`] is the service that makes quotes of its reports, [`quoting`] what a runner's
//! platform service makes of both.
//!
//! Nothing here was run on hardware yet. What can be held against the kernel's headers, a vDSO and a scripted service is.
//!
//! # Source
//! Linux, `Documentation/arch/x86/sgx.rst` and `arch/x86/kernel/cpu/sgx/ioctl.c`.

pub(crate) mod aesm;
pub(crate) mod kernel;
pub(crate) mod quoting;
pub(crate) mod vdso;

#[cfg(test)]
mod tests;

use crate::entry::{ENTRY, Enter};
use crate::pages::{Loaded, adjacent, reserve};
use kernel::{AddPages, Create, Driver, Frame, Init, Request as _, SecInfo, Secs};
use rustix::mm::ProtFlags;
use std::fs::File;
use std::io;
use std::path::Path;
use veritee_sgx_format::sigstruct::{MODE64, XFRM};
use veritee_sgx_format::{PAGE, Page, PageKind, SgxImage};

/// The function of the vDSO that enters enclaves.
const ENTER: &str = "__vdso_sgx_enter_enclave";

/// Creates the enclave of a checked image through a device, and gives it with the function that enters it.
pub(crate) fn load(image: &SgxImage, device: &Path) -> Result<(Loaded, Enter), String> {
    let file = File::options().read(true).write(true).open(device);
    let file = file.map_err(|error| format!("{} cannot be opened: {error}", device.display()))?;
    let base = create(&file, image)?;
    // The mappings keep the enclave alive; its file is closed.
    let function = vdso::find(ENTER)?;
    ENTRY.set_window(&function.range());
    let (size, tcs) = (image.contents.size, base + image.layout.tcs);
    // SAFETY: the kernel's function of this name has this form.
    Ok((Loaded { base, size, tcs, window: function.range() }, unsafe { function.enter() }))
}

/// Creates an enclave, adds and maps its pages, and initialises it; gives its base.
fn create(driver: &dyn Driver, image: &SgxImage) -> Result<u64, String> {
    let size = usize::try_from(image.contents.size).map_err(|_| "the enclave is too large")?;
    let base = reserve(size)?;
    let secs = Secs::new(base, image.contents.size, MODE64, XFRM);
    Create::of(&secs).ask(driver).map_err(|error| refused("creates no enclave", &error))?;
    let alike = |left: &Page, right: &Page| adjacent(left, right) && measured(left) == measured(right);
    for run in image.contents.pages.chunk_by(alike) {
        add(driver, run)?;
    }
    Init::of(&image.sigstruct).ask(driver).map_err(|error| refused("does not initialise the enclave", &error))?;
    for run in image.contents.pages.chunk_by(adjacent) {
        map(driver, base, run)?;
    }
    Ok(base)
}

const fn measured(page: &Page) -> bool {
    page.measured.is_some()
}

/// Adds pages of one kind, one behind the other: the kernel adds and measures them in the order of the stream.
fn add(driver: &dyn Driver, run: &[Page]) -> Result<(), String> {
    let Some(first) = run.first() else { return Ok(()) };
    let bytes = |page: &Page| Frame(page.measured.as_deref().copied().unwrap_or([0; PAGE]));
    let frames: Vec<Frame> = run.iter().map(bytes).collect();
    let information = SecInfo::new(first.kind.flags());
    let mut done = 0;
    while let Some(rest) = frames.get(done..).filter(|rest| !rest.is_empty()) {
        let mut order = AddPages::of(rest, first.offset + (done * PAGE) as u64, &information, measured(first));
        match order.ask(driver) {
            // A signal came in between: the kernel says how far it got.
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(refused("adds no page", &error)),
            _ => done += order.pages(),
        }
    }
    Ok(())
}

/// Maps pages of one kind at their place.
fn map(driver: &dyn Driver, base: u64, run: &[Page]) -> Result<(), String> {
    let Some(first) = run.first() else { return Ok(()) };
    let protection = protection(first.kind);
    // SAFETY: the pages lie inside the range that was reserved for the enclave (the image's reader checked their offsets), and
    // nothing has a reference there.
    let mapped = unsafe { driver.map(base + first.offset, run.len() * PAGE, protection) };
    mapped.map_err(|error| {
        let what = format!("the enclave's pages ({}) cannot be mapped: {error}", first.kind);
        if protection.contains(ProtFlags::EXEC) { what + "; is /dev mounted `noexec`?" } else { what }
    })
}

/// What the kernel lets a process do with pages of a kind: as much as the processor does, and for a thread's structure what the
/// processor itself needs.
fn protection(kind: PageKind) -> ProtFlags {
    let PageKind::Regular { write, execute } = kind else { return ProtFlags::READ | ProtFlags::WRITE };
    let mut flags = ProtFlags::READ;
    flags.set(ProtFlags::WRITE, write);
    flags.set(ProtFlags::EXEC, execute);
    flags
}

/// Words for what the kernel refused, with its likely reason.
fn refused(what: &str, error: &io::Error) -> String {
    let reason = match error.raw_os_error() {
        Some(libc::EPERM) => "the processor refuses its signature, measurement or attributes",
        Some(libc::ENOMEM) => "there is no protected memory left",
        Some(libc::EIO) => "the processor refuses it, or its protected memory was lost when the machine slept",
        Some(libc::ENOTTY) => "this is no SGX device",
        _ => return format!("the kernel {what}: {error}"),
    };
    format!("the kernel {what}: {error}; {reason}")
}
