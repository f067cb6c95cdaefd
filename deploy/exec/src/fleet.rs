//! Nodes: channels to those that the descriptor names.

use crate::ExecError;
use crate::provider::Provider;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use veritee_ids::Op;
use veritee_node_client::{Client, ClientError, Identity};
use veritee_node_protocol::{FailureKind, Figures, IdentityKey, ModuleName, ModuleReport, Remote, Request, Response};

/// A node that can be asked.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name in the descriptor.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// Its identity.
    pub identity: IdentityKey,
    client: Client,
}

/// What a module answered to an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entered {
    /// `veritee_ids::Status`.
    pub status: u16,
    /// Expected counter of a gap.
    pub value: u64,
    /// What it gave back.
    pub reply: Vec<u8>,
}

impl Node {
    /// Connects.
    ///
    /// # Errors
    /// [`ExecError::Node`].
    pub async fn connect(name: &str, address: &str, identity: IdentityKey, own: &Identity) -> Result<Self, ExecError> {
        let client = Client::connect(address, identity, own).await.map_err(|source| failed(name, source))?;
        Ok(Self { name: name.to_owned(), address: address.to_owned(), identity, client })
    }

    /// Speaks in the name of an owner from here on, as his delegate.
    ///
    /// # Errors
    /// [`ExecError::Node`] when the node finds that he is none, or none any more.
    pub async fn act_for(&self, owner: IdentityKey, delegation: &[u8]) -> Result<(), ExecError> {
        self.tell(Request::ActFor { owner, delegation: delegation.to_vec() }, "act-for").await
    }

    /// Asks; refusals are errors.
    ///
    /// # Errors
    /// [`ExecError::Node`].
    pub async fn ask(&self, request: Request) -> Result<Response, ExecError> {
        self.client.call(request).await.map_err(|source| failed(&self.name, source))
    }

    /// Asks for something that takes up to `wait` by itself.
    ///
    /// # Errors
    /// [`ExecError::Node`].
    pub async fn ask_within(&self, request: Request, wait: Duration) -> Result<Response, ExecError> {
        let wait = wait + Duration::from_secs(10);
        self.client.call_within(request, wait).await.map_err(|source| failed(&self.name, source))
    }

    /// Asks for something that is only done.
    ///
    /// # Errors
    /// [`ExecError::Node`] or [`ExecError::StrangeAnswer`].
    pub async fn tell(&self, request: Request, asked: &'static str) -> Result<(), ExecError> {
        match self.ask(request).await? {
            Response::Done => Ok(()),
            _ => Err(self.strange(asked)),
        }
    }

    /// Enters a module.
    ///
    /// # Errors
    /// [`ExecError::Node`] or [`ExecError::StrangeAnswer`].
    pub async fn enter(&self, name: &ModuleName, op: Op, input: Vec<u8>) -> Result<Entered, ExecError> {
        let request = Request::Enter { name: name.clone(), op: op.code(), input };
        match self.ask(request).await? {
            Response::Entered { status, value, reply } => Ok(Entered { status, value, reply }),
            _ => Err(self.strange("enter")),
        }
    }

    /// The owner's modules here.
    ///
    /// # Errors
    /// [`ExecError::Node`] or [`ExecError::StrangeAnswer`].
    pub async fn list(&self, application: [u8; 16]) -> Result<Vec<ModuleReport>, ExecError> {
        match self.ask(Request::List { application: Some(application) }).await? {
            Response::Modules(modules) => Ok(modules),
            _ => Err(self.strange("list")),
        }
    }

    /// The node's claims about an application; none about one that it does not know.
    ///
    /// # Errors
    /// [`ExecError::Node`] or [`ExecError::StrangeAnswer`].
    pub async fn figures(&self, application: [u8; 16]) -> Result<Figures, ExecError> {
        match self.ask(Request::Figures { application }).await {
            Ok(Response::Figures(figures)) => Ok(figures),
            Ok(_) => Err(self.strange("figures")),
            Err(error) if error.failure() == Some(FailureKind::NotFound) => Ok(Figures::default()),
            Err(error) => Err(error),
        }
    }

    /// Waits until nothing of an application is stored or queued; gives what is left.
    ///
    /// # Errors
    /// [`ExecError::Node`] or [`ExecError::StrangeAnswer`].
    pub async fn drain(&self, application: [u8; 16], wait: Duration) -> Result<u64, ExecError> {
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        match self.ask_within(Request::Drain { application, wait_ms }, wait).await {
            Ok(Response::Drained { left }) => Ok(left),
            Ok(_) => Err(self.strange("drain")),
            // A node without a module of the application has nothing of it.
            Err(error) if error.failure() == Some(FailureKind::NotFound) => Ok(0),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn strange(&self, asked: &'static str) -> ExecError {
        ExecError::StrangeAnswer { node: self.name.clone(), asked }
    }
}

fn failed(node: &str, source: ClientError) -> ExecError {
    ExecError::Node { node: node.to_owned(), source }
}

/// Everybody whom the owner asks about an application.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    /// Nodes by name.
    pub nodes: BTreeMap<String, Node>,
    /// Providers of drivers, by node and board.
    pub providers: BTreeMap<(String, String), Arc<dyn Provider>>,
}

impl Fleet {
    /// A node of the fleet.
    ///
    /// # Errors
    /// [`ExecError::UnknownNode`].
    pub fn node(&self, name: &str) -> Result<&Node, ExecError> {
        self.nodes.get(name).ok_or_else(|| ExecError::UnknownNode { node: name.to_owned() })
    }

    /// The provider of a board's drivers.
    ///
    /// # Errors
    /// [`ExecError::Provider`].
    pub fn provider(&self, node: &str, board: &str) -> Result<Arc<dyn Provider>, ExecError> {
        let found = self.providers.get(&(node.to_owned(), board.to_owned()));
        let none = || format!("the key of board {board} at {node} names no provider who lends its drivers");
        found.cloned().ok_or_else(|| ExecError::Provider(none()))
    }

    /// Where `there` is, seen from `here`.
    ///
    /// # Errors
    /// [`ExecError::UnknownNode`].
    pub fn remote(&self, here: &str, there: &str, module: &str) -> Result<Remote, ExecError> {
        if here == there {
            return Ok(Remote::Here { module: module.to_owned() });
        }
        let node = self.node(there)?;
        Ok(Remote::Node { address: node.address.clone(), identity: node.identity })
    }
}
