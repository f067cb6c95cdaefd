//! What an owner asks of a provider, who alone speaks to the drivers of his devices: PROTOCOL section 9, "Drivers".
//!
//! A *grant* hands a driver to one application until it is released or its time is over. The owner gives the provider the
//! keys of his connections with the driver, and gets back what the driver computed under them: only the driver that took
//! the key into its table can know it, which proves to the owner that it is his now.
//!
//! [`Provider`] is either the provider's service behind a mutually authenticated channel ([`RemoteProvider`]), or one in this
//! process (throw-away runs).

use crate::ExecError;
use minicbor::{Decode, Encode};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};
use tokio_rustls::TlsConnector;
use veritee_node_client::{Fingerprint, Identity, message, tls};
use veritee_node_protocol::IdentityKey;

/// ALPN name of a provider's service.
pub const SERVICE: &[u8] = b"veritee-provider/1";
/// Largest message in bytes.
///
/// An image to be signed is the longest.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a provider may take for one answer: it attests drivers over a serial line.
const PATIENCE: Duration = Duration::from_secs(60);

/// Names a grant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct GrantName {
    /// The board, as its provider calls it.
    #[n(0)]
    pub board: String,
    /// The driver.
    #[n(1)]
    pub driver: String,
    /// The application's UUID.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub application: [u8; 16],
}

impl fmt::Display for GrantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "driver {} of board {}", self.driver, self.board)
    }
}

/// What is asked. Everything is idempotent.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Ask {
    /// Takes a driver, or takes it for longer. An exclusive driver serves one application.
    #[n(0)]
    Take {
        /// The grant.
        #[n(0)]
        grant: GrantName,
        /// The application's name, for people.
        #[n(1)]
        name: String,
        /// The module's name in the descriptor: what routes call the driver.
        #[n(2)]
        module: String,
    },
    /// The driver's status, as far as it is this application's.
    #[n(1)]
    Status {
        /// The grant.
        #[n(0)]
        grant: GrantName,
    },
    /// Gives the driver the key of an epoch of a connection.
    #[n(2)]
    SetKey {
        /// The grant.
        #[n(0)]
        grant: GrantName,
        /// Body of the set-key. Its row is the owner's name for the driver's row.
        #[cbor(n(1), with = "minicbor::bytes")]
        set: Vec<u8>,
    },
    /// Frees a row.
    #[n(3)]
    Remove {
        /// The grant.
        #[n(0)]
        grant: GrantName,
        /// The owner's name for the row.
        #[n(1)]
        row: u16,
        /// Its connection.
        #[n(2)]
        connection: u16,
    },
    /// Gives the driver back: all its rows of this application are freed.
    #[n(4)]
    Release {
        /// The grant.
        #[n(0)]
        grant: GrantName,
    },
    /// What `Take` tells, if the application has the driver; takes nothing.
    #[n(5)]
    Look {
        /// The grant.
        #[n(0)]
        grant: GrantName,
    },
    /// Signs a finished image, for platforms that load only what is signed.
    #[n(6)]
    Sign {
        /// The board.
        #[n(0)]
        board: String,
        /// The image.
        #[cbor(n(1), with = "minicbor::bytes")]
        image: Vec<u8>,
    },
}

/// What a provider answers.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Told {
    /// To `Take` and `Look`.
    #[n(0)]
    Granted(#[n(0)] Granted),
    /// To `Status`.
    #[n(1)]
    Status {
        /// A `StatusHead`: the provider's statement.
        #[cbor(n(0), with = "minicbor::bytes")]
        head: Vec<u8>,
        /// `RowStatus` of each of the application's rows, one behind the other, under the owner's names for rows.
        #[cbor(n(1), with = "minicbor::bytes")]
        rows: Vec<u8>,
    },
    /// To `SetKey` and `Remove`.
    #[n(2)]
    Ended {
        /// An `EpochEnd`.
        #[cbor(n(0), with = "minicbor::bytes")]
        end: Vec<u8>,
        /// What the driver computed under the connection's key; empty for `Remove`.
        #[cbor(n(1), with = "minicbor::bytes")]
        proof: Vec<u8>,
    },
    /// To `Release`.
    #[n(3)]
    Released,
    /// Refused, with the reason for people.
    #[n(4)]
    Refused(#[n(0)] String),
    /// The application does not have the driver, or no more; for people.
    #[n(5)]
    NotLent(#[n(0)] String),
    /// To `Sign`: what the node loads.
    #[n(6)]
    Signed(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
}

impl Told {
    /// A refusal is an error.
    ///
    /// # Errors
    /// [`ExecError::Provider`], [`ExecError::NotLent`].
    pub fn agreed(self) -> Result<Self, ExecError> {
        match self {
            Self::Refused(reason) => Err(ExecError::Provider(reason)),
            Self::NotLent(reason) => Err(ExecError::NotLent(reason)),
            told => Ok(told),
        }
    }
}

/// A driver that serves an application now.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Granted {
    /// The driver's activation.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub activation: [u8; 16],
    /// Its measurement.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub measurement: Vec<u8>,
    /// The device's number in proofs.
    #[n(2)]
    pub device: u16,
    /// The application's short name at this provider's drivers.
    #[n(3)]
    pub handle: u16,
    /// Unix time in seconds at which the provider takes the driver back.
    #[n(4)]
    pub not_after: u64,
    /// The board is simulated.
    #[n(5)]
    pub simulated: bool,
    /// Where the uniqueness of the activation comes from: `veritee_ids::Freshness`.
    #[n(6)]
    pub freshness: u16,
}

/// An answer that comes later.
pub type Answered<'a> = Pin<Box<dyn Future<Output = Result<Told, ExecError>> + Send + 'a>>;

/// A provider, as an owner deals with him.
pub trait Provider: Send + Sync + fmt::Debug {
    /// Asks. A refusal is an error.
    fn ask(&self, ask: Ask) -> Answered<'_>;
}

/// Where a provider's service is, and who it is.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct ProviderAddress {
    /// `host:port`.
    pub address: String,
    /// Its identity in hexadecimal.
    pub fingerprint: String,
}

/// A provider's service, reached anew for each request: requests are rare.
#[derive(Debug)]
pub struct RemoteProvider {
    address: String,
    provider: IdentityKey,
    own: Identity,
}

impl RemoteProvider {
    /// A service that is not reached yet.
    ///
    /// # Errors
    /// [`ExecError::Provider`] when the fingerprint is none.
    pub fn new(place: &ProviderAddress, own: Identity) -> Result<Arc<Self>, ExecError> {
        let provider = veritee_node_client::parse_fingerprint(&place.fingerprint)
            .map_err(|_| ExecError::Provider(format!("{:?} is no fingerprint", place.fingerprint)))?;
        Ok(Arc::new(Self { address: place.address.clone(), provider, own }))
    }

    async fn exchange(&self, ask: Ask) -> std::io::Result<Told> {
        let config = tls::client(&self.own, self.provider, SERVICE).map_err(std::io::Error::other)?;
        let tcp = TcpStream::connect(&self.address).await?;
        tcp.set_nodelay(true)?;
        let mut stream = TlsConnector::from(Arc::new(config)).connect(tls::server_name(), tcp).await?;
        stream.write_all(&message::encode(&ask, MESSAGE_BYTES_MAX)?).await?;
        stream.flush().await?;
        let answer = message::read(&mut stream, MESSAGE_BYTES_MAX).await?;
        let answer = answer.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let told = message::decode(&answer)?;
        drop(stream.shutdown().await);
        Ok(told)
    }
}

impl Provider for RemoteProvider {
    fn ask(&self, ask: Ask) -> Answered<'_> {
        Box::pin(async move {
            let unreachable = |reason: String| {
                ExecError::ProviderUnreached(format!(
                    "cannot ask the provider at {} ({reason}); is `veritee provider serve` running there, and does it know {}?",
                    self.address,
                    Fingerprint(self.own.public())
                ))
            };
            match timeout(PATIENCE, self.exchange(ask)).await {
                Ok(Ok(told)) => told.agreed(),
                Ok(Err(error)) => Err(unreachable(error.to_string())),
                Err(_) => Err(unreachable("no answer in time".to_owned())),
            }
        })
    }
}
