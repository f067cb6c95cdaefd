//! Who may come in: accepts connections, proves identities, and hands them to the control interface or to a link.

use crate::node::{Known, Shared};
use crate::{control, link};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use veritee_node_client::{Fingerprint, Identity, tls};
use veritee_node_protocol::IdentityKey;

/// TLS configurations of the two interfaces.
#[derive(Clone)]
pub(crate) struct Doors {
    control: Arc<rustls::ServerConfig>,
    link: Arc<rustls::ServerConfig>,
}

/// Folder of the public halves of tokens that were not used yet.
pub(crate) fn tokens(state: &std::path::Path) -> PathBuf {
    state.join("tokens")
}

impl Doors {
    pub(crate) fn new(
        own: &Identity, known: &Arc<RwLock<Known>>, state: &std::path::Path,
    ) -> Result<Self, rustls::Error> {
        let tokens = tokens(state);
        let owners = Arc::clone(known);
        let may_control = move |identity: &IdentityKey| {
            let known = owners.read().unwrap_or_else(PoisonError::into_inner).owners.contains(identity);
            known || tokens.join(Fingerprint(*identity).to_string()).exists()
        };
        let peers = Arc::clone(known);
        let may_link =
            move |identity: &IdentityKey| peers.read().unwrap_or_else(PoisonError::into_inner).peers.contains(identity);
        Ok(Self {
            control: Arc::new(tls::server(own, Arc::new(may_control), tls::CONTROL)?),
            link: Arc::new(tls::server(own, Arc::new(may_link), tls::LINK)?),
        })
    }
}

/// Connections that are in their handshake, oldest first.
#[derive(Default)]
pub(crate) struct Handshakes(std::cell::RefCell<VecDeque<AbortHandle>>);

impl Handshakes {
    /// Adds one; the oldest one makes room for it if there are too many.
    fn add(&self, handle: AbortHandle, max: usize) -> bool {
        let mut pending = self.0.borrow_mut();
        pending.retain(|handle| !handle.is_finished());
        pending.push_back(handle);
        if pending.len() <= max {
            return false;
        }
        if let Some(oldest) = pending.pop_front() {
            oldest.abort();
        }
        true
    }
}

/// Accepts connections on one address, for ever.
pub(crate) async fn listen(
    shared: Shared, listener: TcpListener, doors: Doors, handshakes: Rc<Handshakes>, places: Arc<Semaphore>,
) {
    let max = shared.look(|node| node.config.limits.handshakes);
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                let greeted = greet(shared.clone(), tcp, doors.clone(), Arc::clone(&places));
                let handle = tokio::task::spawn_local(greeted).abort_handle();
                if handshakes.add(handle, max) {
                    shared.with(|node| node.counts.connections_turned_away += 1);
                }
            }
            Err(error) => {
                // Out of descriptors, most likely: wait for some to come back.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

/// Does the handshake, then runs the connection in a task of its own.
async fn greet(shared: Shared, tcp: TcpStream, doors: Doors, places: Arc<Semaphore>) {
    let patience = shared.look(|node| node.config.handshake());
    let Ok(Ok((stream, is_link))) = timeout(patience, handshake(tcp, doors)).await else {
        shared.with(|node| node.counts.handshakes_failed += 1);
        return;
    };
    let Ok(place) = places.try_acquire_owned() else {
        shared.with(|node| node.counts.connections_turned_away += 1);
        return;
    };
    let Some(identity) = tls::peer_identity(stream.get_ref().1.peer_certificates()) else { return };
    tokio::task::spawn_local(async move {
        if is_link {
            let (tcp, session) = stream.into_inner();
            link::accepted(shared, identity, tcp, session).await;
        } else {
            control::serve(shared, identity, stream).await;
        }
        drop(place);
    });
}

async fn handshake(
    tcp: TcpStream, doors: Doors,
) -> std::io::Result<(tokio_rustls::server::TlsStream<TcpStream>, bool)> {
    tcp.set_nodelay(true)?;
    let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp).await?;
    let is_link = start.client_hello().alpn().is_some_and(|mut names| names.any(|name| name == tls::LINK));
    let config = if is_link { doors.link } else { doors.control };
    Ok((start.into_stream(config).await?, is_link))
}
