//! The runner: a process that enters one enclave for the calls in its ring.

use crate::entry::{self, EENTER, EEXIT, Enter, Run};
use crate::pages::Loaded;
use crate::platform::identity::REPORT_BYTES;
use crate::service::{self, Client};
use crate::{signals, software};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use veritee_host::{OutputReader, OutputRecord};
use veritee_ids::Op;
use veritee_runner::ring::BODY_BYTES_MAX;
use veritee_runner::sandbox::Limits;
use veritee_runner::{Batch, Body, Prepared, Server, refuse};
use veritee_sgx_format::SgxImage;
use veritee_wire::Layout;
use veritee_wire::layout::{AgreementKey, EntryResult, RecordHeader, Transcript};
use veritee_wire::output::{REPLY, RESULT_RECORD_BYTES};

/// Orders to the enclave.
const BOOT: u64 = 0;
const ENTER: u64 = 1;
/// Words of an order, see the runtime's `crossing`.
const ORDER_WORDS: usize = 8;
const OUTCOME: usize = 5;
/// The outcome before the enclave has said anything.
const UNTOUCHED: u64 = u64::MAX;
/// Front of a call and of an output.
const CALL_HEADER_BYTES: usize = 8;
const QUOTED_BYTES: usize = Transcript::BYTES + AgreementKey::BYTES;

/// Where everything of an instance is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places<'a> {
    /// The instance's folder.
    pub(crate) folder: &'a Path,
    /// The folder of the platform's keys, or of its collateral.
    pub(crate) platform: &'a Path,
    /// The device and the socket of the quoting service, on hardware.
    pub(crate) hardware: Option<(&'a Path, &'a Path)>,
}

impl<'a> Places<'a> {
    /// Reads what [`arguments`](Self::arguments) wrote; `role` names the process.
    fn read(arguments: &'a [OsString], role: &str) -> Option<Self> {
        let path = |name| value(arguments, name).map(Path::new);
        let hardware = path("--device").zip(path("--aesm"));
        Some(Self { folder: Path::new(arguments.first()?), platform: path(role)?, hardware })
    }

    /// As arguments of a process in a role.
    pub(crate) fn arguments(&self, role: &'static str) -> Vec<OsString> {
        let mut arguments = vec![self.folder.into(), role.into(), self.platform.into()];
        if let Some((device, socket)) = self.hardware {
            arguments.extend(["--device".into(), device.into(), "--aesm".into(), socket.into()]);
        }
        arguments
    }
}

/// What follows a name among arguments.
fn value<'a>(arguments: &'a [OsString], name: &str) -> Option<&'a OsStr> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).map(OsString::as_os_str)
}

/// Runs an instance until it is ended. `arguments`: the instance's folder, then options.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    if let Some(places) = Places::read(arguments, "--service") {
        return service::run(&places);
    }
    let Some(places) = Places::read(arguments, "--platform") else { return refuse("no folder, or no platform") };
    let allow_unconfined = arguments.iter().any(|argument| argument == "--allow-unconfined");
    let patience = value(arguments, "--patience-ms").and_then(OsStr::to_str).and_then(|text| text.parse().ok());
    let patience = Duration::from_millis(patience.unwrap_or(crate::PATIENCE_MS));
    match start(&places, allow_unconfined, patience, arguments.len()) {
        Ok(mut runner) => runner.run(),
        Err(reason) if reason.is_empty() => ExitCode::from(2),
        Err(reason) => refuse(&reason),
    }
}

/// Checks and maps the image, starts the platform service, gives everything else up, and boots the enclave.
fn start(
    places: &Places<'_>, allow_unconfined: bool, patience: Duration, own: usize,
) -> Result<Server<Enclave>, String> {
    let prepared = Prepared::open(places.folder)?;
    let image = SgxImage::read(&prepared.image).map_err(|error| error.to_string())?;
    let mut front: Vec<OsString> = std::env::args_os().skip(1).collect();
    front.truncate(front.len().saturating_sub(own));
    let service = Arc::new(Client::start(&front, places)?);
    let target = service.target().ok_or("the platform service does not answer")?;
    let (loaded, enter) = load(&image, places)?;
    drop(image);
    signals::watch(patience)?;
    if places.hardware.is_none() {
        signals::emulate(Arc::clone(&service))?;
    }
    let enclave = Enclave {
        enter,
        run: Box::new(Run::new(loaded.tcs)),
        order: Box::new([0; ORDER_WORDS]),
        input: room(),
        output: room(),
        evidence: vec![0; Enclave::EXTRA_BYTES].into_boxed_slice(),
        service,
    };
    let mut server = prepared.serve(enclave);
    let socket = Arc::clone(&server.body.service);
    let silent = Some(loaded.base..loaded.base + loaded.size);
    server.confine(&[rustix::fd::AsFd::as_fd(&*socket)], &Limits { allow_unconfined, silent })?;
    server.body.boot(&target)?;
    Ok(server)
}

/// Loads the image where it is to run; gives the function that enters it.
fn load(image: &SgxImage, places: &Places<'_>) -> Result<(Loaded, Enter), String> {
    match places.hardware {
        None => Ok((software::load(image)?, software::vdso::software)),
        #[cfg(feature = "sgx-hardware")]
        Some((device, _)) => crate::hardware::load(image, device),
        #[cfg(not(feature = "sgx-hardware"))]
        Some(_) => Err(crate::NO_HARDWARE.to_owned()),
    }
}

/// Room for the longest call or output with its front, in words.
fn room() -> Box<[u64]> {
    vec![0; (CALL_HEADER_BYTES + BODY_BYTES_MAX).div_ceil(8)].into_boxed_slice()
}

/// An enclave in this process.
struct Enclave {
    /// The kernel's function on hardware, the software's otherwise.
    enter: Enter,
    run: Box<Run>,
    order: Box<[u64; ORDER_WORDS]>,
    input: Box<[u64]>,
    output: Box<[u64]>,
    evidence: Box<[u8]>,
    service: Arc<Client>,
}

impl Enclave {
    fn boot(&mut self, target: &[u8]) -> Result<(), String> {
        self.put(target);
        match self.order(BOOT, target.len(), 0) {
            Ok(_) => Ok(()),
            Err(reason) => Err(format!("the enclave does not start: {reason}")),
        }
    }

    /// Copies bytes to where the enclave takes them from.
    fn put(&mut self, bytes: &[u8]) {
        let length = bytes.len().min(8 * self.input.len());
        // SAFETY: words are bytes; the length is that of the shorter one, and both are this process's own and distinct.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.input.as_mut_ptr().cast(), length) };
    }

    /// Gives the enclave an order, and gives the number of calls that it took.
    fn order(&mut self, op: u64, input: usize, output: usize) -> Result<usize, &'static str> {
        let (from, to) = (self.input.as_mut_ptr() as u64, self.output.as_mut_ptr() as u64);
        *self.order = [op, from, input as u64, to, output as u64, UNTOUCHED, 0, 0];
        // SAFETY: the enclave is loaded; order, rooms and `run` live as long as this value, and only this thread uses them.
        let entered = unsafe { entry::call(self.enter, self.order.as_mut_ptr(), &raw mut *self.run) };
        if entered != 0 {
            return Err("the enclave cannot be entered");
        }
        match self.run.function {
            EEXIT => {}
            EENTER => return Err("the enclave cannot be entered any more: it broke, or the machine slept"),
            _ => return Err(fault(self.run.vector)),
        }
        // SAFETY: the enclave wrote here through a pointer; the order is this value's own.
        let word = |at: usize| unsafe { self.order.as_ptr().add(at).read_volatile() };
        match word(OUTCOME) {
            0 => Ok(usize::try_from(word(7)).unwrap_or(0)),
            4 => Err("the processor gives no randomness"),
            UNTOUCHED => Err("the enclave left without an answer"),
            _ => Err("the enclave refuses what its runner orders"),
        }
    }

    /// Bytes of the output room.
    fn output(&self) -> &[u8] {
        // SAFETY: words are bytes; the enclave has left, so nobody writes.
        unsafe { std::slice::from_raw_parts(self.output.as_ptr().cast(), 8 * self.output.len()) }
    }

    /// Output of a call `attest`: the report becomes a quote.
    fn quoted<'a>(service: &Client, output: &'a [u8], place: &'a mut [u8]) -> Option<&'a [u8]> {
        let mut records = OutputReader::new(output);
        let (Ok(OutputRecord::Result(_)), Ok(OutputRecord::Reply(reply))) = (records.next()?, records.next()?) else {
            return None;
        };
        let (statement, report) = reply.split_at_checked(QUOTED_BYTES)?;
        let report: &[u8; REPORT_BYTES] = report.try_into().ok()?;
        let front = RESULT_RECORD_BYTES + RecordHeader::BYTES;
        let start = front + QUOTED_BYTES;
        let length = service.quote(report, place.get_mut(start..)?).filter(|length| *length > 0)?;
        place[..RESULT_RECORD_BYTES].copy_from_slice(&output[..RESULT_RECORD_BYTES]);
        let header = RecordHeader { length: u32::try_from(QUOTED_BYTES + length).ok()?, kind: REPLY, reserved: 0 };
        header.encode(&mut place[RESULT_RECORD_BYTES..front]).ok()?;
        place[front..start].copy_from_slice(statement);
        place.get(..start + length)
    }
}

/// What an exception says of the enclave.
fn fault(vector: u16) -> &'static str {
    match vector {
        signals::DIVIDE => "the enclave faulted: it divided by zero",
        signals::BREAKPOINT => "the enclave panicked after its heap had no room",
        signals::ILLEGAL => "the enclave faulted: an illegal instruction, which is also what a panic comes to",
        signals::PAGE_FAULT => "the enclave faulted: it touched memory that is not its own",
        signals::TOO_LONG => "the enclave did not return in time",
        signals::NO_PLATFORM => "the platform service does not answer",
        _ => "the enclave faulted",
    }
}

impl Body for Enclave {
    const CALLS_MAX: usize = 64;
    /// Quote and collateral.
    const EXTRA_BYTES: usize = 64 * 1024;

    fn enter(&mut self, batch: &mut Batch, room: usize, sink: &mut dyn FnMut(&[u8])) -> Result<(), &'static str> {
        // At most one attestation a crossing: the last call of it.
        let attest = batch.ops().position(|op| op == u32::from(Op::Attest.code()));
        let calls = batch.front(attest.map_or(usize::MAX, |at| at + 1));
        self.put(calls);
        let area = (CALL_HEADER_BYTES + room).next_multiple_of(8);
        let taken = self.order(ENTER, calls.len(), area)?;
        let mut evidence = std::mem::take(&mut self.evidence);
        let mut at = 0;
        for call in 0..taken {
            let header = self.output().get(at..).and_then(<[u8]>::first_chunk::<4>);
            let length = header.and_then(|length| usize::try_from(u32::from_le_bytes(*length)).ok());
            let start = at + CALL_HEADER_BYTES;
            let output = length.and_then(|length| self.output().get(start..start.checked_add(length)?));
            let output = output.ok_or("the enclave leaves nonsense")?;
            let quoted = if attest == Some(call) { Self::quoted(&self.service, output, &mut evidence) } else { None };
            sink(quoted.unwrap_or(output));
            at = (start + output.len()).next_multiple_of(8);
        }
        self.evidence = evidence;
        Ok(())
    }
}

const _: () = assert!(RESULT_RECORD_BYTES == RecordHeader::BYTES + EntryResult::BYTES);
