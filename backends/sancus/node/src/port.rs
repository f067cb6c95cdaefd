//! Ports: serial lines of the machine, and sockets of emulated boards.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, QueueSelector, SpecialCodeIndex};
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// An open port. Nobody else has it.
#[derive(Debug)]
pub(crate) struct Port(OwnedFd);

/// What waiting came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Woken {
    /// The port has bytes, or has ended.
    Port,
    /// One of the other descriptors is readable.
    Other(usize),
    /// Neither in time.
    Nobody,
}

impl Port {
    /// Opens a port: `unix:PATH`, `tcp:HOST:PORT`, else a serial line.
    pub(crate) fn open(name: &str, baud: u32) -> io::Result<Self> {
        let port = if let Some(path) = name.strip_prefix("unix:") {
            let stream = UnixStream::connect(path)?;
            stream.set_nonblocking(true)?;
            stream.into()
        } else if let Some(address) = name.strip_prefix("tcp:") {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            stream.into()
        } else {
            serial(name, baud)?
        };
        Ok(Self(port))
    }

    /// Reads what is there; 0 when nothing is.
    pub(crate) fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match rustix::io::read(&self.0, bytes) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other end closed it")),
            Ok(length) => Ok(length),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes everything, or fails after `patience`.
    pub(crate) fn write(&self, mut bytes: &[u8], patience: Duration) -> io::Result<()> {
        let end = Instant::now() + patience;
        while !bytes.is_empty() {
            match rustix::io::write(&self.0, bytes) {
                Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let left = end.saturating_duration_since(Instant::now());
                    let mut waits = [PollFd::new(&self.0, PollFlags::OUT)];
                    if left.is_zero() || poll(&mut waits, Some(&timespec(left)))? == 0 {
                        return Err(io::Error::new(io::ErrorKind::TimedOut, "it takes no bytes"));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits until there is something to read, here or at one of the others (the first one counts most).
    pub(crate) fn wait(&self, others: &[BorrowedFd<'_>], patience: Duration) -> io::Result<Woken> {
        let mut waits: Vec<_> = others.iter().map(|other| PollFd::new(other, PollFlags::IN)).collect();
        waits.push(PollFd::new(&self.0, PollFlags::IN));
        match poll(&mut waits, Some(&timespec(patience))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = waits.iter().position(|wait| !wait.revents().is_empty());
        Ok(match ready {
            Some(place) if place == others.len() => Woken::Port,
            Some(place) => Woken::Other(place),
            None => Woken::Nobody,
        })
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}

/// A serial line of the machine: raw, 8N1, exclusive.
fn serial(path: &str, baud: u32) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let port = rustix::fs::open(path, flags, Mode::empty())?;
    // Other daemons respect the lock; other programs the exclusive mode.
    rustix::fs::flock(&port, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        Errno::WOULDBLOCK => io::Error::new(io::ErrorKind::ResourceBusy, "another program has it"),
        other => other.into(),
    })?;
    rustix::termios::ioctl_tiocexcl(&port)?;
    let mut settings = rustix::termios::tcgetattr(&port)?;
    settings.make_raw();
    // What is not raw by that: two stop bits and handshakes in hardware.
    settings.control_modes -= rustix::termios::ControlModes::CSTOPB | rustix::termios::ControlModes::CRTSCTS;
    settings.control_modes |= rustix::termios::ControlModes::CLOCAL | rustix::termios::ControlModes::CREAD;
    settings.special_codes[SpecialCodeIndex::VMIN] = 1;
    settings.special_codes[SpecialCodeIndex::VTIME] = 0;
    settings.set_speed(baud)?;
    rustix::termios::tcsetattr(port.as_fd(), OptionalActions::Now, &settings)?;
    rustix::termios::tcflush(&port, QueueSelector::IOFlush)?;
    Ok(port)
}

/// What a person can do about a port that does not open.
pub(crate) fn advice(port: &str, error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            if port.starts_with("unix:") || port.starts_with("tcp:") =>
        {
            "does the emulator run there?"
        }
        io::ErrorKind::NotFound => "is it plugged in, and is this its name? /dev/serial/by-id has stable names",
        io::ErrorKind::PermissionDenied => "may the node's user open it? Usually the group dialout may",
        io::ErrorKind::ResourceBusy => "only one program can have it: end the other one",
        _ => "check cable and power",
    }
}
