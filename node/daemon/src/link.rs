//! Links on the wire: TLS over TCP, written from wherever frames appear, read by a task.

use crate::node::Shared;
use rustls::Connection;
use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use veritee_node_client::{Fingerprint, tls};
use veritee_node_core::{LinkIndex, PeerIndex, Router};
use veritee_node_protocol::IdentityKey;

/// A link's socket and session.
pub(crate) struct LinkIo {
    tcp: TcpStream,
    session: RefCell<Session>,
    /// The socket took no more; the writing task waits for it.
    blocked: Cell<bool>,
    wake: Notify,
    closed: Cell<bool>,
}

struct Session {
    tls: Connection,
    plain: Vec<u8>,
}

/// Reads and writes a socket without waiting.
struct Direct<'a>(&'a TcpStream);

impl Write for Direct<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LinkIo {
    fn new(tcp: TcpStream, mut tls: Connection) -> Self {
        tls.set_buffer_limit(None);
        Self {
            tcp,
            session: RefCell::new(Session { tls, plain: Vec::new() }),
            blocked: Cell::new(false),
            wake: Notify::new(),
            closed: Cell::new(false),
        }
    }

    /// Sends what the router has for this link, as far as the socket takes it.
    pub(crate) fn write(&self, router: &mut Router, link: LinkIndex) {
        if self.blocked.get() || self.closed.get() {
            return;
        }
        let Session { tls, plain } = &mut *self.session.borrow_mut();
        loop {
            while tls.wants_write() {
                match tls.write_tls(&mut Direct(&self.tcp)) {
                    Ok(0) => return self.close(),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.blocked.set(true);
                        self.wake.notify_one();
                        return;
                    }
                    Err(_) => return self.close(),
                }
            }
            plain.clear();
            router.fill_link(link, plain, WRITE_BYTES);
            if plain.is_empty() {
                return;
            }
            if tls.writer().write_all(plain).is_err() {
                return self.close();
            }
        }
    }

    /// Makes the reading task end.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.wake.notify_one();
    }
}

/// Dials a node and runs the link until it ends.
pub(crate) async fn dial(shared: Shared, peer: PeerIndex, identity: IdentityKey, address: String) {
    let (own, patience) = shared.look(|node| (node.identity.clone(), node.config.handshake()));
    let connected = async {
        let config = tls::client(&own, identity, tls::LINK).map_err(io::Error::other)?;
        let tcp = TcpStream::connect(&address).await?;
        tcp.set_nodelay(true)?;
        TlsConnector::from(Arc::new(config)).connect(tls::server_name(), tcp).await
    };
    match timeout(patience, connected).await {
        Ok(Ok(stream)) => {
            let (tcp, session) = stream.into_inner();
            run(shared, identity, LinkIo::new(tcp, Connection::Client(session)), true).await;
        }
        failed => {
            let reason = match failed {
                Ok(Err(error)) => error.to_string(),
                _ => "no answer in time".to_owned(),
            };
            tracing::debug!(%address, node = %Fingerprint(identity), reason, "cannot reach a node");
            shared.with(|node| {
                let now = node.now();
                node.router.dial_failed(now, peer, &identity);
            });
        }
    }
}

/// Runs a link that another node dialled.
pub(crate) async fn accepted(shared: Shared, identity: IdentityKey, tcp: TcpStream, session: rustls::ServerConnection) {
    run(shared, identity, LinkIo::new(tcp, Connection::Server(session)), false).await;
}

async fn run(shared: Shared, identity: IdentityKey, io: LinkIo, dialed: bool) {
    let io = Rc::new(io);
    let link = shared.with(|node| {
        let link = node.router.link_up(&identity, dialed)?;
        node.links.insert(link, Rc::clone(&io));
        Some(link)
    });
    let Some(link) = link else { return };
    let node = Fingerprint(identity);
    tracing::info!(%node, dialed, "a link is up");
    let reason = tokio::select! {
        reason = read(&shared, link, &io) => reason,
        reason = write(&shared, link, &io) => reason,
    };
    tracing::info!(%node, dialed, reason, "a link is down");
    shared.with(|node| {
        let ours = node.links.get(&link).is_some_and(|known| Rc::ptr_eq(known, &io));
        if ours {
            node.links.remove(&link);
            let now = node.now();
            node.router.link_down(now, link);
        }
    });
}

/// Writes on when the socket has room again. Ends when the link is closed.
async fn write(shared: &Shared, link: LinkIndex, io: &Rc<LinkIo>) -> String {
    loop {
        io.wake.notified().await;
        if io.closed.get() {
            return "it was closed here".to_owned();
        }
        if io.blocked.get() {
            if let Err(error) = io.tcp.writable().await {
                return error.to_string();
            }
            io.blocked.set(false);
            shared.with(|node| io.write(&mut node.router, link));
        }
    }
}

/// Reads until the link ends; asks a silent node for a sign of life.
async fn read(shared: &Shared, link: LinkIndex, io: &LinkIo) -> String {
    let keepalive = Duration::from_millis(shared.look(|node| node.config.links.keepalive_ms));
    let mut cipher = vec![0; READ_BYTES];
    let mut plain = Vec::new();
    let mut heard = Instant::now();
    // The handshake may have brought more than itself.
    if let Err(reason) = take(shared, link, io, &[], &mut plain) {
        return reason;
    }
    loop {
        match timeout(keepalive, io.tcp.readable()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.to_string(),
            Err(_) if heard.elapsed() > keepalive * 3 => return "no sign of life".to_owned(),
            Err(_) => {
                shared.with(|node| node.router.ping(link));
                continue;
            }
        }
        match io.tcp.try_read(&mut cipher) {
            Ok(0) => return "the other node closed it".to_owned(),
            Ok(length) => {
                heard = Instant::now();
                if let Err(reason) = take(shared, link, io, &cipher[..length], &mut plain) {
                    return reason;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return error.to_string(),
        }
        if heard.elapsed() > keepalive {
            tokio::task::yield_now().await;
        }
    }
}

/// Decrypts what arrived and hands it to the router.
fn take(shared: &Shared, link: LinkIndex, io: &LinkIo, cipher: &[u8], plain: &mut Vec<u8>) -> Result<(), String> {
    decrypt(&mut io.session.borrow_mut().tls, cipher, plain)?;
    shared.with(|node| {
        if io.closed.get() {
            return Err("it was closed here".to_owned());
        }
        let now = node.now();
        match node.router.link_input(now, link, plain) {
            Ok(taken) => {
                plain.drain(..taken);
                Ok(())
            }
            Err(fault) => {
                node.counts.link_faults += 1;
                node.links.remove(&link);
                Err(fault.to_string())
            }
        }
    })
}

fn decrypt(tls: &mut Connection, mut cipher: &[u8], plain: &mut Vec<u8>) -> Result<(), String> {
    loop {
        if !cipher.is_empty() {
            tls.read_tls(&mut cipher).map_err(|error| error.to_string())?;
        }
        let state = tls.process_new_packets().map_err(|error| error.to_string())?;
        let waiting = state.plaintext_bytes_to_read();
        let at = plain.len();
        plain.resize(at + waiting, 0);
        if waiting > 0 {
            tls.reader().read_exact(&mut plain[at..]).map_err(|error| error.to_string())?;
        }
        if state.peer_has_closed() {
            return Err("the other node closed it".to_owned());
        }
        if cipher.is_empty() {
            return Ok(());
        }
    }
}

/// Bytes that are sealed at once.
const WRITE_BYTES: usize = 256 * 1024;
/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1024;
