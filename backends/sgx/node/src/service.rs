//! The platform service: a process beside each runner that holds the platform's keys and knows which enclave the runner has.
//!
//! The runner starts it before it confines itself, with one end of a socket as standard input. In software it reads the same
//! image, checks it as EINIT does, and from then on answers for that identity only; what the runner says of itself does not
//! count. On hardware the processor has the keys, and the service passes reports on to AESM. It ends when the runner does. A
//! request is a byte and a body of fixed length:
//!
//! | request | body | answer |
//! |---|---|---|
//! | `T` | | TARGETINFO of the quoting enclave |
//! | `R` | TARGETINFO, REPORTDATA | REPORT |
//! | `K` | KEYREQUEST | error code (u32), key |
//! | `Q` | REPORT | length (u32), then quote with its length in front (u32) and collateral; length 0: refused |

use crate::platform::Simulated;
use crate::platform::identity::{Identity, REPORT_BYTES, TARGET_BYTES};
use crate::platform::quote::quoting_enclave;
use crate::runner::Places;
use rustix::fd::AsFd;
use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use veritee_runner::{names, refuse};
use veritee_sgx_format::SgxImage;

/// Collateral is issued anew after this time.
const RENEWED_AFTER: Duration = Duration::from_secs(24 * 3600);
/// First byte of the service when it is ready.
const READY: u8 = b'!';

/// The runner's end. Works without memory from the system.
#[derive(Debug)]
pub(crate) struct Client(OwnedFd);

impl Client {
    /// Starts the service of an instance: this program again, with the same front of arguments.
    pub(crate) fn start(front: &[OsString], places: &Places<'_>) -> Result<Self, String> {
        let failed = |error: io::Error| format!("the platform service cannot be started: {error}");
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        // Forgotten on purpose: it ends by itself, with the socket.
        drop(
            Command::new("/proc/self/exe")
                .args(front)
                .args(places.arguments("--service"))
                .env_clear()
                .stdin(Stdio::from(OwnedFd::from(theirs)))
                .stdout(Stdio::null())
                .spawn()
                .map_err(failed)?,
        );
        // If it failed, its last words are in the log already.
        Self::connected(ours).ok_or_else(String::new)
    }

    /// The end of a socket, once the service at the other end is ready.
    pub(crate) fn connected(socket: UnixStream) -> Option<Self> {
        let this = Self(socket.into());
        (this.receive()? == [READY]).then_some(this)
    }

    /// The quoting enclave's TARGETINFO.
    pub(crate) fn target(&self) -> Option<[u8; TARGET_BYTES]> {
        self.send(&[b"T"])?;
        self.receive()
    }

    /// EREPORT.
    pub(crate) fn report(&self, target: &[u8; TARGET_BYTES], data: &[u8; 64]) -> Option<[u8; REPORT_BYTES]> {
        self.send(&[b"R", target, data])?;
        self.receive()
    }

    /// EGETKEY: the key, or the instruction's error code.
    pub(crate) fn key(&self, request: &[u8; 512]) -> Option<Result<[u8; 16], u32>> {
        self.send(&[b"K", request])?;
        let (code, key) = (u32::from_le_bytes(self.receive()?), self.receive()?);
        Some(if code == 0 { Ok(key) } else { Err(code) })
    }

    /// A quote with its collateral, into `place`; gives its length, 0 when the report is refused.
    pub(crate) fn quote(&self, report: &[u8; REPORT_BYTES], place: &mut [u8]) -> Option<usize> {
        self.send(&[b"Q", report])?;
        let length = usize::try_from(u32::from_le_bytes(self.receive()?)).ok()?;
        self.fill(place.get_mut(..length)?)?;
        Some(length)
    }

    fn send(&self, parts: &[&[u8]]) -> Option<()> {
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                let written = rustix::io::retry_on_intr(|| rustix::io::write(&self.0, rest)).ok()?;
                rest = rest.get(written..)?;
            }
        }
        Some(())
    }

    fn receive<const N: usize>(&self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Some(bytes)
    }

    fn fill(&self, bytes: &mut [u8]) -> Option<()> {
        let mut at = 0;
        while at < bytes.len() {
            let read = rustix::io::retry_on_intr(|| rustix::io::read(&self.0, &mut bytes[at..])).ok()?;
            if read == 0 {
                return None;
            }
            at += read;
        }
        Some(())
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Who answers for an enclave: for its processor, and for the makers of its quotes.
pub(crate) trait Answers {
    /// TARGETINFO of the quoting enclave.
    fn target(&self) -> [u8; TARGET_BYTES];

    /// EREPORT; nothing where the processor does that itself.
    fn report(&self, _target: &[u8; TARGET_BYTES], _data: &[u8; 64]) -> Option<[u8; REPORT_BYTES]> {
        None
    }

    /// EGETKEY; nothing where the processor does that itself.
    fn key(&self, _request: &[u8; 512]) -> Option<Result<[u8; 16], u32>> {
        None
    }

    /// The quote of a report; nothing when it is refused.
    fn quote(&self, report: &[u8; REPORT_BYTES]) -> Option<Vec<u8>>;

    /// Collateral that holds now.
    fn collateral(&mut self) -> io::Result<String>;
}

/// The simulated platform, for one enclave.
pub(crate) struct Emulated {
    identity: Identity,
    platform: Simulated,
    collateral: Option<(Instant, String)>,
}

impl Emulated {
    pub(crate) const fn new(identity: Identity, platform: Simulated) -> Self {
        Self { identity, platform, collateral: None }
    }

    /// Checks the image in an instance's folder as EINIT does.
    fn open(places: &Places<'_>) -> Result<Self, String> {
        let image = std::fs::read(places.folder.join(names::IMAGE));
        let image = image.map_err(|error| format!("the image cannot be read: {error}"))?;
        let identity = Identity::of(&SgxImage::read(&image).map_err(|error| error.to_string())?);
        let platform = Simulated::of_folder(places.platform).map_err(failed)?;
        Ok(Self::new(identity, platform))
    }
}

impl Answers for Emulated {
    fn target(&self) -> [u8; TARGET_BYTES] {
        quoting_enclave().target()
    }

    fn report(&self, target: &[u8; TARGET_BYTES], data: &[u8; 64]) -> Option<[u8; REPORT_BYTES]> {
        Some(self.platform.report(&self.identity, target, data))
    }

    fn key(&self, request: &[u8; 512]) -> Option<Result<[u8; 16], u32>> {
        Some(self.platform.key(&self.identity, request))
    }

    fn quote(&self, report: &[u8; REPORT_BYTES]) -> Option<Vec<u8>> {
        self.platform.quote(report)
    }

    fn collateral(&mut self) -> io::Result<String> {
        if self.collateral.as_ref().is_none_or(|(issued, _)| issued.elapsed() > RENEWED_AFTER) {
            self.collateral = Some((Instant::now(), self.platform.collateral()?));
        }
        Ok(self.collateral.as_ref().map_or_else(String::new, |(_, collateral)| collateral.clone()))
    }
}

fn failed(error: io::Error) -> String {
    format!("the platform service failed: {error}")
}

/// Says something in the instance's log.
#[cfg(feature = "sgx-hardware")]
#[expect(clippy::print_stderr, reason = "standard error is the runner's log")]
pub(crate) fn say(words: &str) {
    eprintln!("{words}");
}

/// Runs the service of an instance until its runner ends.
pub(crate) fn run(places: &Places<'_>) -> ExitCode {
    _ = rustix::process::setsid();
    let served = answers(places).and_then(|answers| {
        let socket = rustix::io::dup(rustix::stdio::stdin()).map_err(|error| failed(error.into()))?;
        Service::new(answers, socket.into()).serve().map_err(failed)
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => refuse(&reason),
    }
}

fn answers(places: &Places<'_>) -> Result<Box<dyn Answers>, String> {
    match places.hardware {
        None => Ok(Box::new(Emulated::open(places)?)),
        #[cfg(feature = "sgx-hardware")]
        Some((_, socket)) => Ok(Box::new(crate::hardware::quoting::Quoting::open(socket, places.platform)?)),
        #[cfg(not(feature = "sgx-hardware"))]
        Some(_) => Err(crate::NO_HARDWARE.to_owned()),
    }
}

/// One enclave's platform, behind a socket.
pub(crate) struct Service {
    answers: Box<dyn Answers>,
    socket: UnixStream,
}

impl Service {
    pub(crate) const fn new(answers: Box<dyn Answers>, socket: UnixStream) -> Self {
        Self { answers, socket }
    }

    /// Answers until the other end is closed.
    pub(crate) fn serve(mut self) -> io::Result<()> {
        self.socket.write_all(&[READY])?;
        loop {
            let mut request = [0];
            match self.socket.read(&mut request) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                read => read.map(drop)?,
            }
            let answer = self.answer(request[0])?;
            self.socket.write_all(&answer)?;
        }
    }

    fn answer(&mut self, request: u8) -> io::Result<Vec<u8>> {
        let none = || io::Error::new(io::ErrorKind::InvalidData, "no such request");
        Ok(match request {
            b'T' => self.answers.target().to_vec(),
            b'R' => {
                let (target, data) = (self.body()?, self.body()?);
                self.answers.report(&target, &data).ok_or_else(none)?.to_vec()
            }
            b'K' => {
                let request = self.body()?;
                let key = self.answers.key(&request).ok_or_else(none)?;
                let code = key.err().unwrap_or(0);
                [&code.to_le_bytes()[..], &key.unwrap_or_default()].concat()
            }
            b'Q' => {
                let report = self.body()?;
                self.evidence(&report)?
            }
            _ => return Err(none()),
        })
    }

    fn body<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut body = [0; N];
        self.socket.read_exact(&mut body)?;
        Ok(body)
    }

    fn evidence(&mut self, report: &[u8; REPORT_BYTES]) -> io::Result<Vec<u8>> {
        let word = |length: usize| u32::try_from(length).unwrap_or(0).to_le_bytes();
        let Some(quote) = self.answers.quote(report) else { return Ok(word(0).to_vec()) };
        let collateral = self.answers.collateral()?;
        let length = 4 + quote.len() + collateral.len();
        Ok([&word(length)[..], &word(quote.len()), &quote, collateral.as_bytes()].concat())
    }
}
