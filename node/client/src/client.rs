//! Calls to a node: many at once on one channel, each answered by its number.

use crate::{Fingerprint, Identity, Token, message, tls};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use veritee_node_protocol::{Answer, Call, Failure, IdentityKey, MESSAGE_BYTES_MAX, Request, Response, VERSION};

/// Why a call did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No connection to the address.
    #[error("cannot reach {address}: {source}")]
    Unreachable {
        /// The address.
        address: String,
        /// The system's error.
        source: Arc<io::Error>,
    },
    /// The handshake failed: the node is another one than expected, or does not know this identity.
    #[error(
        "{address} refused the handshake: either it is not the node {expected}, or it does not know the identity {own} ({source})"
    )]
    Handshake {
        /// The address.
        address: String,
        /// The expected node.
        expected: Fingerprint,
        /// The identity that was shown.
        own: Fingerprint,
        /// What the TLS library says.
        source: Arc<io::Error>,
    },
    /// The node speaks another version.
    #[error("the node speaks version {node} of the control interface, this tool {own}")]
    Version {
        /// The node's version.
        node: u16,
        /// This tool's version.
        own: u16,
    },
    /// The node refused the request.
    #[error("the node refused: {} ({:?})", .0.message, .0.kind)]
    Refused(Failure),
    /// No answer in time.
    #[error("no answer from {address} within {} ms", waited.as_millis())]
    Timeout {
        /// The address.
        address: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The channel to the node ended before the answer came.
    #[error("the channel to {address} ended: {reason}")]
    Closed {
        /// The address.
        address: String,
        /// Why.
        reason: String,
    },
    /// The request is too large to be sent.
    #[error("{0}")]
    TooLarge(Arc<io::Error>),
    /// The identity cannot be used for TLS.
    #[error("the identity cannot be used: {0}")]
    Identity(rustls::Error),
}

/// A channel to a node on which calls can be made, from many tasks at once. Cheap to clone; the channel ends with the
/// last clone.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<Vec<u8>>,
}

#[derive(Debug)]
struct Shared {
    address: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    open: HashMap<u64, oneshot::Sender<Response>>,
    /// Why the channel ended; set once.
    ended: Option<String>,
}

impl Client {
    /// Connects to a node within ten seconds, proves both identities and compares versions.
    ///
    /// `address` is `host:port`, with a name, an IPv4 address or an IPv6 address in brackets.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] without a TCP connection, [`ClientError::Handshake`] when either identity is
    /// refused, [`ClientError::Version`] when versions differ, [`ClientError::Timeout`] when it takes too long.
    pub async fn connect(address: &str, node: IdentityKey, own: &Identity) -> Result<Self, ClientError> {
        let waited = CONNECT_MAX;
        timeout(waited, Self::connect_patiently(address, node, own))
            .await
            .unwrap_or_else(|_| Err(ClientError::Timeout { address: address.to_owned(), waited }))
    }

    async fn connect_patiently(address: &str, node: IdentityKey, own: &Identity) -> Result<Self, ClientError> {
        let unreachable = |source| ClientError::Unreachable { address: address.to_owned(), source: Arc::new(source) };
        let handshake = |source: io::Error| ClientError::Handshake {
            address: address.to_owned(),
            expected: Fingerprint(node),
            own: own.fingerprint(),
            source: Arc::new(source),
        };
        let config = tls::client(own, node, tls::CONTROL).map_err(ClientError::Identity)?;
        let tcp = TcpStream::connect(address).await.map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(tls::server_name(), tcp).await.map_err(handshake)?;
        let client = Self::start(address, stream);
        // A node that does not know us says so only after our side of the handshake is complete.
        match client.call(Request::Hello { version: VERSION }).await {
            Ok(Response::Hello { version: VERSION }) => Ok(client),
            Ok(Response::Hello { version }) => Err(ClientError::Version { node: version, own: VERSION }),
            Ok(_) => Err(handshake(io::Error::other("the node does not greet"))),
            Err(ClientError::Closed { reason, .. }) => Err(handshake(io::Error::other(reason))),
            Err(error) => Err(error),
        }
    }

    fn start(address: &str, stream: TlsStream<TcpStream>) -> Self {
        let state = State { next: 0, open: HashMap::new(), ended: None };
        let shared = Arc::new(Shared { address: address.to_owned(), state: Mutex::new(state) });
        let (outgoing, queue) = mpsc::channel(OUTGOING_MAX);
        let (reader, writer) = tokio::io::split(stream);
        let reading = tokio::spawn(read_answers(reader, Arc::clone(&shared)));
        tokio::spawn(write_calls(writer, queue, Arc::clone(&shared), reading.abort_handle()));
        Self { shared, outgoing }
    }

    /// Sends a request and waits for its answer: a minute, and as long as the request itself may wait.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the node refused, [`ClientError::Timeout`] without an answer in time,
    /// [`ClientError::Closed`] when the channel ended, [`ClientError::TooLarge`] when the request cannot be sent.
    pub async fn call(&self, request: Request) -> Result<Response, ClientError> {
        let own_wait = match &request {
            Request::Direct { reply_ms, .. } => *reply_ms,
            Request::Drain { wait_ms, .. } => *wait_ms,
            _ => 0,
        };
        self.call_within(request, CALL_MAX + Duration::from_millis(u64::from(own_wait))).await
    }

    /// Sends a request and waits at most `waited` for its answer.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn call_within(&self, request: Request, waited: Duration) -> Result<Response, ClientError> {
        let (sender, answer) = oneshot::channel();
        let id = self.shared.open(sender)?;
        let _forget = Forget { shared: &self.shared, id };
        let bytes = message::encode(&Call { id, request }, MESSAGE_BYTES_MAX)
            .map_err(|error| ClientError::TooLarge(Arc::new(error)))?;
        let exchange = async {
            self.outgoing.send(bytes).await.ok()?;
            answer.await.ok()
        };
        match timeout(waited, exchange).await {
            Ok(Some(Response::Failed(failure))) => Err(ClientError::Refused(failure)),
            Ok(Some(response)) => Ok(response),
            Ok(None) => Err(self.shared.closed()),
            Err(_) => Err(ClientError::Timeout { address: self.shared.address.clone(), waited }),
        }
    }

    /// The address that was dialled.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// False once the channel has ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.lock().ended.is_none()
    }
}

/// Spends a node's one-time token: from now on the node knows `identity` as an owner.
///
/// # Errors
/// As [`Client::connect`]; [`ClientError::Handshake`] also when the token is spent.
pub async fn enrol(address: &str, node: IdentityKey, token: &Token, identity: &IdentityKey) -> Result<(), ClientError> {
    let client = Client::connect(address, node, &token.identity()).await?;
    client.call(Request::Enrol { identity: *identity }).await.map(drop)
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn open(&self, sender: oneshot::Sender<Response>) -> Result<u64, ClientError> {
        let mut state = self.lock();
        if state.ended.is_some() {
            drop(state);
            return Err(self.closed());
        }
        let id = state.next;
        state.next += 1;
        state.open.insert(id, sender);
        Ok(id)
    }

    fn end(&self, reason: String) {
        let mut state = self.lock();
        state.ended.get_or_insert(reason);
        state.open.clear();
    }

    fn closed(&self) -> ClientError {
        let reason = self.lock().ended.clone().unwrap_or_else(|| "it was shut down".to_owned());
        ClientError::Closed { address: self.address.clone(), reason }
    }
}

/// Forgets a call when its caller goes away or is done.
struct Forget<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.lock().open.remove(&self.id);
    }
}

async fn read_answers(mut reader: ReadHalf<TlsStream<TcpStream>>, shared: Arc<Shared>) {
    let reason = loop {
        match read_answer(&mut reader).await {
            Ok(Some(answer)) => {
                let waiting = shared.lock().open.remove(&answer.id);
                if let Some(waiting) = waiting {
                    // The caller may have given up.
                    drop(waiting.send(answer.response));
                }
            }
            Ok(None) => break "the node closed it".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    shared.end(reason);
}

async fn read_answer(reader: &mut ReadHalf<TlsStream<TcpStream>>) -> io::Result<Option<Answer>> {
    match message::read(reader, MESSAGE_BYTES_MAX).await? {
        Some(bytes) => message::decode(&bytes).map(Some),
        None => Ok(None),
    }
}

async fn write_calls(
    mut writer: WriteHalf<TlsStream<TcpStream>>, mut queue: mpsc::Receiver<Vec<u8>>, shared: Arc<Shared>,
    reading: tokio::task::AbortHandle,
) {
    while let Some(bytes) = queue.recv().await {
        let written = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        if let Err(error) = written.await {
            // The reader may know better why: an alert of the node arrives there.
            tokio::time::sleep(ALERT_GRACE).await;
            shared.end(error.to_string());
            break;
        }
    }
    // No more callers, or no more channel.
    drop(writer.shutdown().await);
    reading.abort();
}

const CONNECT_MAX: Duration = Duration::from_secs(10);
const CALL_MAX: Duration = Duration::from_secs(60);
const ALERT_GRACE: Duration = Duration::from_millis(100);
const OUTGOING_MAX: usize = 256;
