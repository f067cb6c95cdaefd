//! Serial lines of the board, and where they end on the host.

use crate::run::Message;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::thread;

/// The first line.
pub(crate) struct Serial {
    /// Where the peer finds it, for people and programs.
    pub(crate) address: Option<String>,
    peer: Option<Box<dyn Write + Send>>,
    /// Removed at the end.
    leftover: Option<PathBuf>,
    /// Keeps a terminal open while nobody else has it.
    _keep: Option<File>,
}

impl Serial {
    /// Opens the end of a line; what arrives there becomes messages.
    pub(crate) fn open(place: &str, messages: &Sender<Message>) -> Result<Self> {
        let mut serial = Self { address: None, peer: None, leftover: None, _keep: None };
        match place.split_once(':').map_or((place, None), |(kind, rest)| (kind, Some(rest))) {
            ("none", None) => {}
            ("-", None) => {
                serial.peer = Some(Box::new(std::io::stdout()));
                read_from(std::io::stdin(), messages.clone());
            }
            ("tcp", Some(port)) => {
                let port = port.parse().with_context(|| format!("{port:?} is no port"))?;
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context("cannot listen for --uart1")?;
                serial.address = Some(format!("tcp:{}", listener.local_addr()?));
                let accept = move || {
                    let (stream, _) = listener.accept()?;
                    stream.set_nodelay(true)?;
                    Ok((Box::new(stream.try_clone()?) as Box<dyn Read + Send>, Box::new(stream) as _))
                };
                accept_from(accept, messages.clone());
            }
            ("unix", Some(path)) => {
                let listener = listen(Path::new(path)).context("cannot listen for --uart1")?;
                serial.address = Some(format!("unix:{path}"));
                serial.leftover = Some(path.into());
                let accept = move || {
                    let (stream, _) = listener.accept()?;
                    Ok((Box::new(stream.try_clone()?) as Box<dyn Read + Send>, Box::new(stream) as _))
                };
                accept_from(accept, messages.clone());
            }
            ("pty", link) => serial.open_terminal(link, messages).context("cannot open a terminal for --uart1")?,
            _ => bail!("--uart1 {place:?} is none of tcp:PORT, unix:PATH, pty, pty:LINK, - and none"),
        }
        Ok(serial)
    }

    fn open_terminal(&mut self, link: Option<&str>, messages: &Sender<Message>) -> Result<()> {
        let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
        let master = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let name = rustix::pty::ptsname(&master, Vec::new())?.into_string()?;
        // Held open: without any user the master reads errors.
        let slave = File::options().read(true).write(true).open(&name)?;
        let mut mode = rustix::termios::tcgetattr(&slave)?;
        mode.make_raw();
        rustix::termios::tcsetattr(&slave, rustix::termios::OptionalActions::Now, &mode)?;
        let master = File::from(master);
        read_from(master.try_clone()?, messages.clone());
        self.peer = Some(Box::new(master));
        self._keep = Some(slave);
        if let Some(link) = link {
            remove_stale(Path::new(link), |kind| kind.is_symlink())?;
            std::os::unix::fs::symlink(&name, link).with_context(|| format!("cannot make the link {link}"))?;
            self.leftover = Some(link.into());
        }
        self.address = Some(format!("pty:{name}"));
        Ok(())
    }

    /// A peer came. It hears the board until the next one comes, even if it has nothing more to say.
    pub(crate) fn connect(&mut self, peer: Box<dyn Write + Send>) {
        self.peer = Some(peer);
    }

    /// Sends bytes that the board sent. Without a peer they are lost, as on a cable that ends nowhere.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if let Some(peer) = &mut self.peer
            && peer.write_all(bytes).and_then(|()| peer.flush()).is_err()
        {
            self.peer = None;
        }
    }
}

impl Drop for Serial {
    fn drop(&mut self) {
        if let Some(path) = &self.leftover {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Listens on a socket's path; one that a dead process left behind is replaced.
pub(crate) fn listen(path: &Path) -> Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_err() {
        remove_stale(path, |kind| std::os::unix::fs::FileTypeExt::is_socket(&kind))?;
    }
    UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))
}

fn remove_stale(path: &Path, is_ours: impl Fn(std::fs::FileType) -> bool) -> Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if is_ours(found.file_type()) => Ok(std::fs::remove_file(path)?),
        Ok(_) => bail!("{} exists and is something else", path.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

type Peer = (Box<dyn Read + Send>, Box<dyn Write + Send>);

/// Takes one peer after another.
fn accept_from(accept: impl Fn() -> Result<Peer> + Send + 'static, messages: Sender<Message>) {
    thread::spawn(move || {
        while let Ok((reader, writer)) = accept() {
            if messages.send(Message::Peer(writer)).is_err() || !pump(reader, &messages) {
                return;
            }
        }
    });
}

fn read_from(reader: impl Read + Send + 'static, messages: Sender<Message>) {
    thread::spawn(move || pump(reader, &messages));
}

/// Turns what is read into messages until the end. Gives false when nobody wants them any more.
fn pump(mut reader: impl Read, messages: &Sender<Message>) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return true,
            Ok(length) => {
                if messages.send(Message::Bytes(buffer[..length].to_vec())).is_err() {
                    return false;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
    }
}
