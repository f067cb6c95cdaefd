//! The provider's door: TLS 1.3 with raw public keys; only owners who have a key of a board come in.

use crate::service::Service;
use crate::{ProviderError, Store};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use veritee_exec::provider::{Ask, MESSAGE_BYTES_MAX, SERVICE};
use veritee_node_client::protocol::IdentityKey;
use veritee_node_client::{Fingerprint, Identity, message, tls};

/// Channels at the same time.
const CHANNELS_MAX: usize = 64;
/// How long a channel may take to its request, and its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often grants are looked at whose time may be over.
const SWEEP: Duration = Duration::from_secs(1);

/// Owners who may come in. Follows the books, which another process may have changed.
#[derive(Debug)]
pub struct Customers {
    books: PathBuf,
    known: RwLock<BTreeSet<String>>,
}

impl Customers {
    /// Those of a provider's books.
    #[must_use]
    pub fn of(store: &Store) -> Arc<Self> {
        let known = RwLock::new(store.kept.vendors.keys().cloned().collect());
        Arc::new(Self { books: store.path().to_owned(), known })
    }

    fn know(&self, identity: &IdentityKey) -> bool {
        let wanted = Fingerprint(*identity).to_string();
        if self.known.read().unwrap_or_else(PoisonError::into_inner).contains(&wanted) {
            return true;
        }
        let Ok(kept) = crate::store::read(&self.books) else { return false };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *known = kept.vendors.into_keys().collect();
        known.contains(&wanted)
    }
}

/// A listener.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    acceptor: Arc<rustls::ServerConfig>,
}

impl Server {
    /// Listens on an address; port 0 takes a free one.
    ///
    /// # Errors
    /// [`ProviderError::System`].
    pub async fn bind(address: &str, own: &Identity, customers: Arc<Customers>) -> Result<Self, ProviderError> {
        let failed = |source| ProviderError::System { action: format!("listen on {address}"), source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let pinned = Arc::new(move |identity: &IdentityKey| customers.know(identity));
        let config = tls::server(own, pinned, SERVICE);
        let config = config.map_err(|error| failed(std::io::Error::other(error)))?;
        Ok(Self { listener, acceptor: Arc::new(config) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// [`ProviderError::System`].
    pub fn address(&self) -> Result<std::net::SocketAddr, ProviderError> {
        let failed = |source| ProviderError::System { action: "say where this listens".to_owned(), source };
        self.listener.local_addr().map_err(failed)
    }

    /// Serves owners, and takes drivers back whose time is over, for ever.
    pub async fn serve(self, service: Arc<Service>) {
        let places = Arc::new(Semaphore::new(CHANNELS_MAX));
        let mut sweep = tokio::time::interval(SWEEP);
        let mut trouble = String::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((tcp, _)) => {
                        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                        let (service, acceptor) = (Arc::clone(&service), TlsAcceptor::from(Arc::clone(&self.acceptor)));
                        tokio::spawn(async move {
                            if let Err(error) = channel(tcp, acceptor, &service).await {
                                tracing::debug!(%error, "a channel failed");
                            }
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a channel");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                _ = sweep.tick() => {
                    let said = service.take_back().await.err().map_or_else(String::new, |error| error.to_string());
                    if said != trouble && !said.is_empty() {
                        tracing::warn!("cannot take a driver back: {said}");
                    }
                    trouble = said;
                }
            }
        }
    }
}

/// One request, one answer.
async fn channel(tcp: TcpStream, acceptor: TlsAcceptor, service: &Service) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    let mut stream = timeout(PATIENCE, acceptor.accept(tcp)).await.map_err(late)??;
    let identity = tls::peer_identity(stream.get_ref().1.peer_certificates());
    let owner = Fingerprint(identity.ok_or(std::io::ErrorKind::PermissionDenied)?).to_string();
    let Some(bytes) = timeout(PATIENCE, message::read(&mut stream, MESSAGE_BYTES_MAX)).await.map_err(late)?? else {
        return Ok(());
    };
    let ask: Ask = message::decode(&bytes)?;
    let told = service.answer(&owner, ask).await;
    let answer = message::encode(&told, MESSAGE_BYTES_MAX)?;
    timeout(PATIENCE, async {
        stream.write_all(&answer).await?;
        stream.shutdown().await
    })
    .await
    .map_err(late)?
}
