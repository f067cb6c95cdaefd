//! The provider's own side of his drivers: he is their only control peer.

use crate::grants::Grant;
use crate::{ProviderError, Store};
use std::collections::BTreeMap;
use veritee_exec::ExecError;
use veritee_exec::desk::Desk;
use veritee_exec::fleet::Node;
use veritee_exec::state::unhex;
use veritee_ids::{ApplicationId, RowIndex};
use veritee_node_client::parse_fingerprint;
use veritee_node_protocol::{FailureKind, ModuleName, Request};
use veritee_platform::{DriverKeys, Expected};
use veritee_session::Signer;

/// The name under which all drivers are known at their nodes.
const APPLICATION: [u8; 16] = *b"veritee drivers\0";

/// What a driver is called at its node.
#[must_use]
pub fn module_name(board: &str, driver: &str) -> ModuleName {
    ModuleName { application: APPLICATION, module: format!("{board}/{driver}") }
}

/// Drivers with open control sessions, and channels to their nodes.
#[derive(Debug, Default)]
pub struct Drivers {
    nodes: BTreeMap<String, Node>,
    desks: BTreeMap<(String, String), Desk>,
}

impl Drivers {
    /// Takes channels that are open already.
    #[must_use]
    pub fn with_nodes(nodes: BTreeMap<String, Node>) -> Self {
        Self { nodes, desks: BTreeMap::new() }
    }

    async fn node(&mut self, store: &Store, name: &str) -> Result<Node, ProviderError> {
        if let Some(node) = self.nodes.get(name) {
            return Ok(node.clone());
        }
        let known = store.home().nodes()?;
        let found = known.get(name).ok_or_else(|| ExecError::UnknownNode { node: name.to_owned() })?;
        let node = Node::connect(name, &found.address, found.identity()?, &store.home().identity()?).await?;
        self.nodes.insert(name.to_owned(), node.clone());
        Ok(node)
    }

    /// A driver, attested now: a board that was reset has new ones. An older session is replaced.
    pub(crate) async fn attest(
        &mut self, store: &Store, board: &str, driver: &str,
    ) -> Result<&mut Desk, ProviderError> {
        let place = (board.to_owned(), driver.to_owned());
        self.desks.remove(&place);
        let node_name = store.board(board)?.node.clone();
        let desk = match self.open(store, &node_name, board, driver).await {
            Ok(desk) => desk,
            Err(ProviderError::Exec(error)) if error.failure().is_some() => return Err(error.into()),
            Err(_) => {
                // The channel may have ended with the daemon behind it.
                self.nodes.remove(&node_name);
                self.open(store, &node_name, board, driver).await?
            }
        };
        Ok(self.desks.entry(place).or_insert(desk))
    }

    async fn open(&mut self, store: &Store, node: &str, board: &str, driver: &str) -> Result<Desk, ProviderError> {
        let node = self.node(store, node).await?;
        let keys = store.driver(board, driver)?;
        let platform = store.board(board)?.platform.clone();
        let name = module_name(board, driver);
        adopt(&node, &name, &platform, &keys).await?;
        let owner = store.home().owner()?;
        let judge = veritee_exec::platforms::platform(&platform).ok_or_else(|| ExecError::NoSuch {
            what: "platform",
            name: platform,
            candidates: Vec::new(),
        })?;
        let expected =
            Expected { measurement: &keys.measurement, key: Some(&keys.key), credential: Some(&keys.credential) };
        let mut desk = Desk::open(&node, name, &*judge, (expected, &keys.policy), Signer::Owner(&owner)).await?;
        desk.activate().await?;
        Ok(desk)
    }

    /// A driver with the session that is open, or a new one.
    pub(crate) async fn desk(&mut self, store: &Store, board: &str, driver: &str) -> Result<&mut Desk, ProviderError> {
        let place = (board.to_owned(), driver.to_owned());
        let stands = match self.desks.get_mut(&place) {
            Some(desk) => desk.status().await.is_ok(),
            None => false,
        };
        if !stands {
            return self.attest(store, board, driver).await;
        }
        self.desks.get_mut(&place).ok_or(ProviderError::Malformed)
    }
}

/// Makes the driver a module of the provider's at its node: it is there already, and lives as long as its board.
async fn adopt(node: &Node, name: &ModuleName, platform: &str, keys: &DriverKeys) -> Result<(), ExecError> {
    let load =
        Request::Load { name: name.clone(), platform: platform.to_owned(), image: keys.image.clone(), restart: true };
    match node.tell(load.clone(), "load").await {
        Err(error) if error.failure() == Some(FailureKind::Taken) => {
            // Another board image under this name.
            node.tell(Request::Unload { name: name.clone() }, "unload").await?;
            node.tell(load, "load").await
        }
        outcome => outcome,
    }
}

/// What a driver computed under a connection's key.
pub(crate) async fn prove(
    desk: &mut Desk, row: u16, device: u16, application: [u8; 16],
) -> Result<Vec<u8>, ProviderError> {
    Ok(desk.confirm(RowIndex(row), device, ApplicationId(application)).await?.to_vec())
}

/// Lets an application route its connections to a driver, which it calls `module`.
pub(crate) async fn lend(desk: &Desk, grant: &Grant) -> Result<(), ProviderError> {
    let (owner, application) = borrower(grant)?;
    let request = Request::Lend {
        name: desk.name.clone(),
        owner,
        application,
        module: grant.module.clone(),
        connections: grant.rows.iter().map(|row| (row.connection, row.row)).collect(),
    };
    Ok(desk.node.tell(request, "lend").await?)
}

/// Ends that.
pub(crate) async fn take_back(desk: &Desk, grant: &Grant) -> Result<(), ProviderError> {
    let (owner, application) = borrower(grant)?;
    let request = Request::TakeBack { name: desk.name.clone(), owner, application };
    Ok(desk.node.tell(request, "take-back").await?)
}

fn borrower(grant: &Grant) -> Result<([u8; 32], [u8; 16]), ProviderError> {
    let owner = parse_fingerprint(&grant.owner).map_err(|_| ProviderError::Malformed)?;
    let application = unhex(&grant.application).and_then(|bytes| bytes.try_into().ok());
    Ok((owner, application.ok_or(ProviderError::Malformed)?))
}
