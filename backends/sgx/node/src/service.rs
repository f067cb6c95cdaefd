//! The platform service: a process beside each runner that holds the platform's keys and knows which enclave the runner has.
//!
//! The runner starts it before it confines itself, with one end of a socket as standard input. It reads the same image,
//! checks it as EINIT does, and from then on answers for that identity only; what the runner says of itself does not count.
//! It ends when the runner does. A request is a byte and a body of fixed length:
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
use rustix::fd::AsFd;
use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
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
    pub(crate) fn start(front: &[OsString], folder: &Path, platform: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| format!("the platform service cannot be started: {error}");
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        // Forgotten on purpose: it ends by itself, with the socket.
        drop(
            Command::new("/proc/self/exe")
                .args(front)
                .arg(folder)
                .arg("--service")
                .arg(platform)
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

/// Runs the service of an instance until its runner ends.
pub(crate) fn run(folder: &Path, platform: &Path) -> ExitCode {
    let words = |what: &str, error: &dyn std::fmt::Display| refuse(&format!("{what}: {error}"));
    _ = rustix::process::setsid();
    let image = match std::fs::read(folder.join(names::IMAGE)) {
        Ok(image) => image,
        Err(error) => return words("the image cannot be read", &error),
    };
    let identity = match SgxImage::read(&image) {
        Ok(image) => Identity::of(&image),
        Err(error) => return refuse(&error.to_string()),
    };
    let served = Simulated::of_folder(platform).and_then(|platform| {
        let socket = rustix::io::dup(rustix::stdio::stdin())?;
        Service::new(identity, platform, socket.into()).serve()
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => words("the platform service failed", &error),
    }
}

/// One enclave's platform, behind a socket.
pub(crate) struct Service {
    identity: Identity,
    platform: Simulated,
    socket: UnixStream,
    collateral: Option<(Instant, String)>,
}

impl Service {
    pub(crate) const fn new(identity: Identity, platform: Simulated, socket: UnixStream) -> Self {
        Self { identity, platform, socket, collateral: None }
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
        Ok(match request {
            b'T' => quoting_enclave().target().to_vec(),
            b'R' => {
                let (target, data) = (self.body()?, self.body()?);
                self.platform.report(&self.identity, &target, &data).to_vec()
            }
            b'K' => {
                let request = self.body()?;
                let key = self.platform.key(&self.identity, &request);
                let code = key.err().unwrap_or(0);
                [&code.to_le_bytes()[..], &key.unwrap_or_default()].concat()
            }
            b'Q' => {
                let report = self.body()?;
                self.evidence(&report)?
            }
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "no such request")),
        })
    }

    fn body<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut body = [0; N];
        self.socket.read_exact(&mut body)?;
        Ok(body)
    }

    fn evidence(&mut self, report: &[u8; REPORT_BYTES]) -> io::Result<Vec<u8>> {
        let word = |length: usize| u32::try_from(length).unwrap_or(0).to_le_bytes();
        let Some(quote) = self.platform.quote(report) else { return Ok(word(0).to_vec()) };
        let collateral = self.collateral()?.as_bytes();
        let length = 4 + quote.len() + collateral.len();
        Ok([&word(length)[..], &word(quote.len()), &quote, collateral].concat())
    }

    fn collateral(&mut self) -> io::Result<&str> {
        if self.collateral.as_ref().is_none_or(|(issued, _)| issued.elapsed() > RENEWED_AFTER) {
            self.collateral = Some((Instant::now(), self.platform.collateral()?));
        }
        Ok(self.collateral.as_ref().map_or("", |(_, collateral)| collateral))
    }
}
