//! Starting a node, and stopping it.

use crate::config::Config;
use crate::hosting::{self, Host};
use crate::listener::{self, Doors, Handshakes};
use crate::node::{Node, OwnerState, Parts, Shared, Stop};
use crate::{journal, metrics, outbox, routing};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use veritee_host::Platform;
use veritee_node_client::{Fingerprint, Identity, IdentityError, Token};
use veritee_node_core::record;
use veritee_node_protocol::IdentityKey;

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another daemon uses the folder.
    #[error("another daemon runs in {}", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// There is no node key yet.
    #[error("{} holds no node key: run `veritee-node init` first", folder.display())]
    NotInitialised {
        /// The folder.
        folder: PathBuf,
    },
    /// The node key is there already.
    #[error("{} holds a node key already: `veritee-node token` makes another token", folder.display())]
    Initialised {
        /// The folder.
        folder: PathBuf,
    },
    /// The node's key cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A file or folder cannot be used.
    #[error("cannot {action}: {source}")]
    System {
        /// What was being done.
        action: String,
        /// The system's error.
        source: io::Error,
    },
    /// What an earlier daemon left cannot be read.
    #[error("{0}")]
    State(String),
    /// The TLS library refused its configuration.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The node ended before it was ready.
    #[error("the node ended before it was ready")]
    Ended,
}

fn system(action: impl Into<String>) -> impl FnOnce(io::Error) -> StartError {
    let action = action.into();
    move |source| StartError::System { action, source }
}

/// Makes a node's key and its first token. The token is nowhere else.
///
/// # Errors
/// [`StartError::Initialised`] when there is a key; [`StartError::System`] or [`StartError::Identity`] when files or
/// randomness fail.
pub fn init(config: &Config) -> Result<(IdentityKey, Token), StartError> {
    make_folder(&config.state)?;
    let path = config.state.join(KEY_FILE);
    if path.exists() {
        return Err(StartError::Initialised { folder: config.state.clone() });
    }
    let identity = Identity::generate()?;
    // The token first: a node with a key and no token could never be enrolled.
    let token = new_token(config)?;
    identity.save(&path)?;
    Ok((identity.public(), token))
}

/// Makes another one-time token, for another owner.
///
/// # Errors
/// [`StartError::System`] or [`StartError::Identity`] when files or randomness fail.
pub fn new_token(config: &Config) -> Result<Token, StartError> {
    let token = Token::generate()?;
    let folder = listener::tokens(&config.state);
    make_folder(&folder)?;
    let path = folder.join(Fingerprint(token.identity().public()).to_string());
    File::create_new(&path).and_then(|file| file.sync_all()).map_err(system("write the token's public half"))?;
    File::open(&folder).and_then(|folder| folder.sync_all()).map_err(system("sync the folder of tokens"))?;
    Ok(token)
}

/// The identity of the node in this folder.
///
/// # Errors
/// [`StartError::NotInitialised`] when there is none, [`StartError::Identity`] when it cannot be read.
pub fn identity(config: &Config) -> Result<Identity, StartError> {
    let path = config.state.join(KEY_FILE);
    if !path.exists() {
        return Err(StartError::NotInitialised { folder: config.state.clone() });
    }
    Ok(Identity::load(&path)?)
}

fn make_folder(folder: &Path) -> Result<(), StartError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder).map_err(system(format!("make {}", folder.display())))
}

/// A running node, in a thread of its own.
#[derive(Debug)]
pub struct Handle {
    addresses: Vec<SocketAddr>,
    identity: IdentityKey,
    metrics: Option<SocketAddr>,
    stop: Option<oneshot::Sender<Stop>>,
    thread: Option<JoinHandle<()>>,
}

/// What a node tells once it is ready.
#[derive(Debug)]
struct Ready {
    addresses: Vec<SocketAddr>,
    identity: IdentityKey,
    metrics: Option<SocketAddr>,
}

/// Starts a node in a thread of its own. `platforms` are those that it may use.
///
/// # Errors
/// [`StartError`], as said there.
pub fn start(config: Config, platforms: Vec<Arc<dyn Platform>>) -> Result<Handle, StartError> {
    let (ready, readiness) = std::sync::mpsc::channel();
    let (stop, stopping) = oneshot::channel();
    let thread = std::thread::Builder::new().name("node".to_owned()).spawn(move || {
        let outcome = run(config, platforms, stopping, |told| drop(ready.send(Ok(told))));
        if let Err(error) = outcome {
            drop(ready.send(Err(error)));
        }
    });
    let thread = thread.map_err(system("start a thread"))?;
    let Ready { addresses, identity, metrics } = readiness.recv().map_err(|_| StartError::Ended)??;
    Ok(Handle { addresses, identity, metrics, stop: Some(stop), thread: Some(thread) })
}

impl Handle {
    /// The address to dial: the first one that was configured.
    ///
    /// # Panics
    /// Never: a configuration without an address is refused.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        *self.addresses.first().expect("at least one address")
    }

    /// The node's identity.
    #[must_use]
    pub const fn identity(&self) -> IdentityKey {
        self.identity
    }

    /// Where metrics are served.
    #[must_use]
    pub const fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Stops the node: everything goes to the disk.
    pub fn stop(mut self) {
        self.end(Stop::Graceful);
    }

    /// Ends the node as a `kill -9` would: nothing is flushed, modules are left alone.
    pub fn kill(mut self) {
        self.end(Stop::Abrupt);
    }

    fn end(&mut self, how: Stop) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(how);
        }
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.end(Stop::Graceful);
    }
}

fn run(
    config: Config, platforms: Vec<Arc<dyn Platform>>, stopping: oneshot::Receiver<Stop>, ready: impl FnOnce(Ready),
) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        // Loads wait for boards that do not answer: others must not wait for them.
        .max_blocking_threads(32)
        .build()
        .map_err(system("start the runtime"))?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, serve(config, platforms, stopping, ready))?;
    drop(tasks);
    runtime.shutdown_background();
    Ok(())
}

async fn serve(
    config: Config, platforms: Vec<Arc<dyn Platform>>, stopping: oneshot::Receiver<Stop>, ready: impl FnOnce(Ready),
) -> Result<(), StartError> {
    raise_descriptor_limit();
    let _lock = lock(&config.state)?;
    let config = Arc::new(config);
    let (shared, notices) = restore(Arc::clone(&config), platforms)?;
    let mut listeners = Vec::new();
    for address in &config.listen {
        listeners.push(TcpListener::bind(address.as_str()).await.map_err(system(format!("listen on {address}")))?);
    }
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>();
    let addresses = addresses.map_err(system("ask for an address"))?;
    let metrics_at = metrics::listen(&shared, &config.metrics).await.map_err(system("serve metrics"))?;
    let doors = shared.look(|node| Doors::new(&node.identity, &node.known, &config.state))?;
    let handshakes = Rc::new(Handshakes::default());
    let places = Arc::new(Semaphore::new(config.limits.connections));
    tokio::task::spawn_local(shared.clone().ring_alarms());
    tokio::task::spawn_local(hear_disk(shared.clone(), notices));
    adopt(&shared).await;
    for socket in listeners {
        let (shared, doors) = (shared.clone(), doors.clone());
        let (handshakes, places) = (Rc::clone(&handshakes), Arc::clone(&places));
        tokio::task::spawn_local(listener::listen(shared, socket, doors, handshakes, places));
    }
    let identity = shared.look(|node| node.identity.public());
    tracing::info!(?addresses, identity = %Fingerprint(identity), "the node is ready");
    ready(Ready { addresses, identity, metrics: metrics_at });
    if stopping.await == Ok(Stop::Graceful) {
        shut_down(&shared).await;
    }
    Ok(())
}

/// Puts everything back as it was: owners, routes, timers, frames.
fn restore(
    config: Arc<Config>, platforms: Vec<Arc<dyn Platform>>,
) -> Result<(Shared, tokio::sync::mpsc::UnboundedReceiver<outbox::Notice>), StartError> {
    let identity = identity(&config)?;
    let (model, journal) = journal::open(&config.state).map_err(|error| StartError::State(error.to_string()))?;
    let folder = config.state.join("outbox");
    let old = outbox::segments(&folder).map_err(system("read the outbox"))?;
    let first = old.last().map_or(1, |segment| segment.number + 1);
    let (outbox, notices) =
        outbox::Outbox::start(&folder, first, config.outbox.segment_bytes).map_err(system("start the outbox"))?;
    let mut life = [0; 16];
    getrandom::fill(&mut life).map_err(|_| StartError::Identity(IdentityError::Randomness))?;
    let mut node = Node::new(Parts { config, identity, platforms, model, journal, outbox, life });
    node.restore_model();
    node.replay(&old)?;
    Ok((Shared::new(node), notices))
}

impl Node {
    pub(crate) fn add_owner_state(&mut self, owner: u32, index: veritee_node_core::OwnerIndex) {
        let state = OwnerState { index, apps: Default::default(), timers: Default::default() };
        self.owners.insert(owner, state);
    }

    fn restore_model(&mut self) {
        let model = self.model.clone();
        for (number, owner) in model.owners {
            let Some((first, later)) = owner.keys.split_first() else { continue };
            let index = self.router.add_owner(*first);
            later.iter().for_each(|key| self.router.add_owner_key(index, *key));
            self.add_owner_state(number, index);
            for (uuid, app) in owner.apps {
                let index = self.router.add_application(index, uuid, app.number);
                self.owners.get_mut(&number).expect("it was just added").apps.insert(uuid, index);
                for name in app.modules.into_keys() {
                    let module = self.router.module(index, &name);
                    self.hosts.insert(module, Host::new(number, uuid, name));
                }
            }
        }
        // Routes may name modules that are lent.
        self.restore_lent();
        for (number, owner) in self.model.clone().owners {
            for (uuid, app) in owner.apps {
                let index = self.owners.get(&number).and_then(|state| state.apps.get(&uuid)).copied();
                index.into_iter().for_each(|index| self.restore_app(number, uuid, index, app.clone()));
            }
        }
        self.update_known();
    }

    fn restore_app(
        &mut self, owner: u32, uuid: [u8; 16], app: veritee_node_core::AppIndex, model: crate::model::AppModel,
    ) {
        for (connection, route) in model.outs {
            routing::apply_out(self, app, connection, &route);
        }
        for (connection, route) in model.ins {
            routing::apply_in(self, app, connection, &route);
        }
        for (connection, epoch) in model.dead {
            self.router.epoch_dead(app, connection, epoch);
        }
        let now = self.now();
        for ((name, timer), setting) in model.timers {
            let module = self.router.module(app, &name);
            let index = self.router.set_timer(now, module, setting.entry, u64::from(setting.period_ms) * 1000);
            let state = self.owners.get_mut(&owner).expect("its application is being restored");
            state.timers.insert((uuid, name, timer), index);
        }
    }

    /// Puts stored frames back into their lanes.
    fn replay(&mut self, segments: &[outbox::OldSegment]) -> Result<(), StartError> {
        let apps: std::collections::HashMap<u32, veritee_node_core::AppIndex> = self
            .model
            .owners
            .iter()
            .flat_map(|(owner, model)| model.apps.iter().map(move |(uuid, app)| (owner, uuid, app.number)))
            .filter_map(|(owner, uuid, number)| Some((number, *self.owners.get(owner)?.apps.get(uuid)?)))
            .collect();
        for segment in segments {
            let bytes = std::fs::read(&segment.path).map_err(system("read a segment of the outbox"))?;
            let mut live = 0_u64;
            match record::records(&bytes, segment.number) {
                Ok(mut records) => {
                    for (number, frame) in records.by_ref() {
                        let app = apps.get(&number);
                        live += u64::from(app.is_some_and(|app| self.router.replay(*app, segment.number, frame)));
                    }
                    if records.left() > 0 {
                        tracing::warn!(segment = segment.number, bytes = records.left(), "a segment had a torn tail");
                    }
                }
                Err(record::NotASegment::Cut) => {}
                Err(error) => {
                    return Err(StartError::State(format!("{}: {error}", segment.path.display())));
                }
            }
            self.counts.replayed_records += live;
            if live == 0 {
                self.outbox.delete(segment.number);
            }
        }
        self.router.replayed();
        Ok(())
    }
}

/// Takes living modules over; starts those again that died meanwhile and are to be restarted.
async fn adopt(shared: &Shared) {
    let modules = shared.look(|node| {
        let apps = node.owners.values().flat_map(|owner| owner.apps.values());
        let modules = apps.flat_map(|app| node.router.modules_of(*app).map(|(_, module)| module));
        modules.filter(|module| node.hosts.get(*module).is_some()).collect::<Vec<_>>()
    });
    for module in modules {
        let Some((folder, platform, restart, name)) = shared.look(|node| {
            let model = node.module_model(module)?;
            let folder = hosting::folder(&node.config.state, model.number).join("instance");
            let name = node.hosts.get(module)?.name.clone();
            Some((folder, node.platform(&model.platform)?, model.restart, name))
        }) else {
            continue;
        };
        match platform.adopt(&folder).and_then(|hosted| hosting::run(shared, module, hosted)) {
            Ok(()) => tracing::info!(module = name, "a living module was taken over"),
            Err(error) => {
                tracing::warn!(module = name, %error, "a module did not survive");
                shared.with(|node| {
                    if let Some(host) = node.hosts.get_mut(module) {
                        host.death = "it ended while no daemon ran".to_owned();
                    }
                });
                if restart {
                    shared.with(|node| {
                        if let Some(host) = node.hosts.get_mut(module) {
                            host.restarts += 1;
                            // Before its owner can ask for the same.
                            host.starting = true;
                        }
                        node.counts.module_restarts += 1;
                    });
                    // Not awaited: a board that does not answer must not keep the node from its work.
                    tokio::task::spawn_local(hosting::start_again(shared.clone(), module, platform));
                }
            }
        }
    }
}

async fn hear_disk(shared: Shared, mut notices: tokio::sync::mpsc::UnboundedReceiver<outbox::Notice>) {
    while let Some(notice) = notices.recv().await {
        shared.with(|node| node.disk(notice));
    }
}

/// Everything to disk; modules end if they are to.
async fn shut_down(shared: &Shared) {
    tracing::info!("the node stops");
    let (end, names) = shared.look(|node| {
        let apps = node.owners.values().flat_map(|owner| owner.apps.values());
        let modules = apps.flat_map(|app| node.router.modules_of(*app).map(|(_, module)| module));
        (node.config.end_modules, modules.collect::<Vec<_>>())
    });
    if end {
        shared.with(|node| {
            for module in &names {
                if let Some(host) = node.hosts.get_mut(*module) {
                    host.ending = true;
                    if let Some(hosted) = host.hosted.as_mut() {
                        hosted.end();
                    }
                }
            }
        });
        for module in names {
            crate::loading::wait_for_end(shared, module).await;
        }
    }
    for _ in 0..FLUSH_PATIENCE_MS {
        let busy = shared.with(|node| {
            let now = node.now();
            node.router.store_now(now);
            node.router.has_unstored()
        });
        if !busy {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    tracing::warn!("some events could not be stored in time; they stay in their modules");
}

fn lock(folder: &Path) -> Result<File, StartError> {
    make_folder(folder)?;
    let file = File::options().create(true).write(true).truncate(false).open(folder.join("lock"));
    let file = file.map_err(system("open the lock file"))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StartError::InUse { folder: folder.to_owned() }),
        Err(error) => Err(system("lock the folder")(error.into())),
    }
}

/// Idle connections cost a descriptor each: take as many as the system gives.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of descriptors stays");
    }
}

const KEY_FILE: &str = "node.key";
const FLUSH_PATIENCE_MS: u32 = 10_000;
/// Tasks that run before sockets and doorbells are looked at again.
const EVENT_INTERVAL: u32 = 31;
