//! The runner: a process that keeps one session with one trusted application, and enters it for the calls in its ring.
//!
//! It runs no code of the module's, so it is not confined: its system calls are what a module's would be.

use crate::APPLICATIONS;
use crate::signed::name_of;
use crate::tee::{CLIENT, Parameter, Shared, TARGET_DEAD, Tee, TeeError, kind};
use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use veritee_runner::ring::BODY_BYTES_MAX;
use veritee_runner::{Batch, Body, Prepared, Server, refuse};
use veritee_trustzone_format::Uuid;
use veritee_trustzone_format::module::{CALL_HEADER_BYTES, CALLS, CallHeader, INPUT_BYTES_MAX, OUTPUT_HEADER_BYTES};
use veritee_trustzone_secret::{ENROL, FORGET, KEEP, SECRET_BYTES};
use veritee_wire::Layout as _;

/// Bytes of calls that enter the module together: one of any length, or many short ones.
const INPUT_BYTES: usize = 256 * 1024;
const _: () = assert!(INPUT_BYTES >= INPUT_BYTES_MAX + CALL_HEADER_BYTES);
/// Front of a call in a batch: length and operation, 32 bits each.
const BATCH_HEADER_BYTES: usize = 8;

/// Runs an instance until it is ended. `arguments`: the instance's folder.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let [folder] = arguments else { return refuse("no folder") };
    match start(Path::new(folder)) {
        Ok(mut server) => server.run(),
        Err(reason) => refuse(&reason),
    }
}

/// Opens the session: the secure world loads the application, checks it, and its activation begins.
fn start(folder: &Path) -> Result<Server<Session>, String> {
    let prepared = Prepared::open(folder)?;
    let application = name_of(&prepared.image)?;
    let tee = Tee::open(CLIENT).map_err(|error| format!("cannot open {CLIENT}: {error}"))?;
    let offered = Offered::put(Path::new(APPLICATIONS), application, &prepared.image)?;
    let session = tee.open_session(application).map_err(|error| format!("the module does not start: {error}"))?;
    drop(offered);
    let share = |bytes| tee.share(bytes).map_err(|error| format!("cannot share memory: {error}"));
    let input = share(INPUT_BYTES)?;
    let output = share(BODY_BYTES_MAX + Session::CALLS_MAX * OUTPUT_HEADER_BYTES)?;
    _ = rustix::process::setsid();
    _ = rustix::thread::set_name(c"veritee-module");
    let body = vec![0; BODY_BYTES_MAX].into_boxed_slice();
    Ok(prepared.serve(Session { tee, session, input, output, body }))
}

/// An application's file where supplicants look for it. It goes with this value, unless it was there before.
struct Offered(Option<PathBuf>);

impl Offered {
    /// Puts a file there. One that is there is never replaced: it could be the attestation service's.
    fn put(folder: &Path, application: Uuid, image: &[u8]) -> Result<Self, String> {
        let path = folder.join(format!("{application}.ta"));
        let words = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
        fs::create_dir_all(folder).map_err(words)?;
        match fs::File::create_new(&path) {
            Ok(mut file) => {
                let offered = Self(Some(path.clone()));
                file.write_all(image).map_err(words)?;
                Ok(offered)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let same = fs::read(&path).is_ok_and(|there| there == image);
                if same { Ok(Self(None)) } else { Err(format!("another application is named {application}")) }
            }
            Err(error) => Err(words(error)),
        }
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            _ = fs::remove_file(path);
        }
    }
}

/// A session with a module.
#[derive(Debug)]
struct Session {
    tee: Tee,
    session: u32,
    input: Shared,
    output: Shared,
    body: Box<[u8]>,
}

impl Body for Session {
    const CALLS_MAX: usize = 256;
    const EXTRA_BYTES: usize = 0;

    fn enter(&mut self, batch: &mut Batch, room: usize, sink: &mut dyn FnMut(&[u8])) -> Result<(), &'static str> {
        let front = batch.front(batch.len());
        let (calls, bytes) = copy_calls(front, batch.len(), &mut self.input)?;
        let place = room + calls * OUTPUT_HEADER_BYTES;
        let memory =
            |kind, shared: &Shared, bytes: usize| Parameter { kind, a: 0, b: bytes as u64, c: shared.id.into() };
        let mut parameters = [
            memory(kind::MEMORY_IN, &self.input, bytes),
            memory(kind::MEMORY_OUT, &self.output, place),
            Parameter { kind: kind::VALUE_OUT, ..Parameter::default() },
        ];
        self.tee.invoke(self.session, CALLS, &mut parameters).map_err(death)?;
        let done = usize::try_from(parameters[2].a).unwrap_or(usize::MAX);
        if done > calls {
            return Err("the module answers more calls than there were");
        }
        copy_outputs(&self.output, done, place, &mut self.body, sink)
    }
}

/// The front of a call.
fn front_of(length: u32, op: u16) -> [u8; CALL_HEADER_BYTES] {
    CallHeader { length, op, reserved: 0 }.bytes()
}

/// Lays calls out as the module takes them; how many fit, and their bytes.
///
/// A call that no module takes is passed on as an empty one of no operation: the module refuses it, and its place in the order stays.
fn copy_calls(front: &[u8], calls: usize, input: &mut Shared) -> Result<(usize, usize), &'static str> {
    let (mut at, mut used, mut taken) = (0, 0, 0);
    while taken < calls {
        let header = front.get(at..at + BATCH_HEADER_BYTES).ok_or("a batch ends within a call")?;
        let [length, op] = [0, 4].map(|at| u32::from_le_bytes(std::array::from_fn(|byte| header[at + byte])));
        let bytes = usize::try_from(length).unwrap_or(usize::MAX);
        let start = at + BATCH_HEADER_BYTES;
        let body = front.get(start..start.saturating_add(bytes)).ok_or("a batch ends within a call")?;
        let fits = bytes <= INPUT_BYTES_MAX;
        let body = if fits { body } else { &[] };
        let op = u16::try_from(op).ok().filter(|_| fits).unwrap_or(u16::MAX);
        let length = if fits { length } else { 0 };
        if used + CALL_HEADER_BYTES + body.len() > input.len() {
            break;
        }
        let written = input.write(used, &front_of(length, op)) && input.write(used + CALL_HEADER_BYTES, body);
        debug_assert!(written, "there was room before");
        used += CALL_HEADER_BYTES + body.len();
        at = (start + bytes).next_multiple_of(8);
        taken += 1;
    }
    Ok((taken, used))
}

/// Gives outputs on, one by one.
fn copy_outputs(
    output: &Shared, outputs: usize, bytes: usize, body: &mut [u8], sink: &mut dyn FnMut(&[u8]),
) -> Result<(), &'static str> {
    const BAD: &str = "the module's outputs make no sense";
    let mut at = 0;
    for _ in 0..outputs {
        let mut header = [0; OUTPUT_HEADER_BYTES];
        if at + OUTPUT_HEADER_BYTES > bytes || !output.read(at, &mut header) {
            return Err(BAD);
        }
        at += OUTPUT_HEADER_BYTES;
        let length = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
        let place = body.get_mut(..length).filter(|_| length <= bytes - at).ok_or(BAD)?;
        if !output.read(at, place) {
            return Err(BAD);
        }
        sink(place);
        at += length;
    }
    Ok(())
}

/// Last words of a runner whose module cannot be entered any more.
fn death(error: TeeError) -> &'static str {
    match error {
        TeeError::Refused(refused) if refused.result == TARGET_DEAD => {
            "the module panicked: its trusted application is dead"
        }
        TeeError::Refused(_) => "the secure world refuses to enter the module",
        TeeError::Kernel(_) => "the kernel cannot enter the secure world",
    }
}

/// Gives the attestation service its secret: 32 hexadecimal digits on standard input.
pub(crate) fn enrol(name: &str, keep: bool) -> ExitCode {
    match try_enrol(name, keep) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => refuse(&reason),
    }
}

fn try_enrol(name: &str, keep: bool) -> Result<(), String> {
    let mut text = String::new();
    std::io::stdin().take(256).read_to_string(&mut text).map_err(|error| format!("cannot read the secret: {error}"))?;
    let secret = bytes_of_hex(text.trim()).filter(|secret| secret.len() == SECRET_BYTES);
    let secret = secret.ok_or("the secret is not 32 hexadecimal digits")?;
    let name = bytes_of_hex(&name.replace('-', "")).and_then(|bytes| bytes.try_into().ok());
    let name = name.ok_or("the service's name is no UUID")?;
    let tee = Tee::open(CLIENT).map_err(|error| format!("cannot open {CLIENT}: {error}"))?;
    let session =
        tee.open_session(Uuid(name)).map_err(|error| format!("the attestation service does not start: {error}"))?;
    let mut shared = tee.share(4096).map_err(|error| format!("cannot share memory: {error}"))?;
    shared.write(0, &secret);
    let mode = if keep { KEEP } else { FORGET };
    let mut parameters = [
        Parameter { kind: kind::MEMORY_IN, a: 0, b: SECRET_BYTES as u64, c: shared.id.into() },
        Parameter { kind: kind::VALUE_IN, a: mode.into(), ..Parameter::default() },
    ];
    let done = tee.invoke(session, ENROL, &mut parameters);
    shared.write(0, &[0; SECRET_BYTES]);
    tee.close_session(session);
    done.map_err(|error| format!("the attestation service refuses the secret: {error}"))
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
