//! The running node: the router with everything that it drives. One thread, one owner of the state; tasks borrow it for
//! the length of an event and never across an await.

use crate::config::Config;
use crate::hosting::Host;
use crate::journal::Journal;
use crate::link::LinkIo;
use crate::model::{Change, Model};
use crate::outbox::{Notice, Outbox};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::rc::Rc;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};
use veritee_host::Platform;
use veritee_node_client::Identity;
use veritee_node_core::{Action, AppIndex, LinkIndex, ModuleIndex, Outcome, OwnerIndex, Router, Time, TimerIndex};
use veritee_node_protocol::IdentityKey;

/// A node, shared by its tasks.
#[derive(Clone)]
pub(crate) struct Shared(Rc<Inner>);

struct Inner {
    node: RefCell<Node>,
    /// The alarm task should look at the router's next wake again.
    wake: Notify,
}

/// How a node is to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// Everything to disk, modules as configured.
    Graceful,
    /// At once, as if the process had been killed: nothing is flushed, modules are left alone.
    Abrupt,
}

/// An owner at run time.
#[derive(Debug)]
pub(crate) struct OwnerState {
    pub(crate) index: OwnerIndex,
    pub(crate) apps: BTreeMap<[u8; 16], AppIndex>,
    pub(crate) timers: BTreeMap<([u8; 16], String, String), TimerIndex>,
}

/// The state of a node.
pub(crate) struct Node {
    pub(crate) config: Arc<Config>,
    pub(crate) identity: Identity,
    pub(crate) platforms: Vec<Arc<dyn Platform>>,
    pub(crate) router: Router,
    pub(crate) model: Model,
    pub(crate) journal: Journal,
    pub(crate) outbox: Outbox,
    pub(crate) owners: BTreeMap<u32, OwnerState>,
    pub(crate) hosts: Hosts,
    pub(crate) links: HashMap<LinkIndex, Rc<LinkIo>>,
    /// Who may connect; shared with handshakes.
    pub(crate) known: Arc<RwLock<Known>>,
    pub(crate) answers: HashMap<u64, oneshot::Sender<Outcome>>,
    pub(crate) next_token: u64,
    pub(crate) counts: Counts,
    /// Held while a place is picked: each platform sees all places that were picked before.
    pub(crate) reserving: Rc<tokio::sync::Mutex<()>>,
    /// Calls of this daemon are numbered from here: another number than that of any daemon before.
    pub(crate) first_call: u64,
    started: Instant,
    /// The alarm task sleeps until then.
    armed: Time,
}

/// Identities that may connect.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) owners: HashSet<IdentityKey>,
    pub(crate) peers: HashSet<IdentityKey>,
}

/// What the daemon itself counts, for its metrics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) handshakes_failed: u64,
    pub(crate) connections_turned_away: u64,
    pub(crate) control_connections: u64,
    pub(crate) requests: u64,
    pub(crate) requests_refused: u64,
    pub(crate) module_deaths: u64,
    pub(crate) module_restarts: u64,
    pub(crate) link_faults: u64,
    pub(crate) stored_records: u64,
    pub(crate) store_batches: u64,
    pub(crate) replayed_records: u64,
}

/// Modules by their dense number.
#[derive(Default)]
pub(crate) struct Hosts(Vec<Option<Host>>);

impl Hosts {
    pub(crate) fn get(&self, module: ModuleIndex) -> Option<&Host> {
        self.0.get(module.0 as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, module: ModuleIndex) -> Option<&mut Host> {
        self.0.get_mut(module.0 as usize)?.as_mut()
    }

    pub(crate) fn insert(&mut self, module: ModuleIndex, host: Host) {
        let place = module.0 as usize;
        if self.0.len() <= place {
            self.0.resize_with(place + 1, || None);
        }
        self.0[place] = Some(host);
    }

    pub(crate) fn remove(&mut self, module: ModuleIndex) -> Option<Host> {
        self.0.get_mut(module.0 as usize)?.take()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Host> {
        self.0.iter().flatten()
    }
}

/// What a new node starts from.
pub(crate) struct Parts {
    pub(crate) config: Arc<Config>,
    pub(crate) identity: Identity,
    pub(crate) platforms: Vec<Arc<dyn Platform>>,
    pub(crate) model: Model,
    pub(crate) journal: Journal,
    pub(crate) outbox: Outbox,
    pub(crate) life: [u8; 16],
}

impl Node {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { config, identity, platforms, model, journal, outbox, life } = parts;
        let router = Router::new(config.core_limits(), identity.public(), life);
        Self {
            config,
            identity,
            platforms,
            router,
            model,
            journal,
            outbox,
            owners: BTreeMap::new(),
            hosts: Hosts::default(),
            links: HashMap::new(),
            known: Arc::default(),
            answers: HashMap::new(),
            next_token: 0,
            counts: Counts::default(),
            reserving: Rc::default(),
            // The top bit stays clear: the numbers of calls are far from that of unasked outputs.
            first_call: u64::from(u32::from_le_bytes([life[0], life[1], life[2], life[3]]) >> 1) << 32,
            started: Instant::now(),
            armed: Time(u64::MAX),
        }
    }

    pub(crate) fn now(&self) -> Time {
        Time(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Remembers changes; the receiver hears when they are durable.
    pub(crate) fn change(&mut self, changes: Vec<Change>) -> oneshot::Receiver<io::Result<()>> {
        let durable = self.journal.write(&changes);
        for change in changes {
            self.model.apply(change);
        }
        durable
    }

    /// A token for an answer of the router, and where it will come.
    pub(crate) fn expect_answer(&mut self) -> (u64, oneshot::Receiver<Outcome>) {
        let (sender, receiver) = oneshot::channel();
        self.next_token += 1;
        self.answers.insert(self.next_token, sender);
        (self.next_token, receiver)
    }

    /// Tells handshakes who may connect.
    pub(crate) fn update_known(&self) {
        let mut known = self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.owners = self.model.owners.values().filter_map(|owner| owner.keys.last().copied()).collect();
        known.peers.retain(|peer| self.router.is_peer(peer));
    }

    /// Tells handshakes of a node that a route names.
    pub(crate) fn know_peer(&self, peer: IdentityKey) {
        self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner).peers.insert(peer);
    }

    /// Lets modules work off what they were given and pulls what they left, until nothing moves.
    fn run_modules(&mut self) -> bool {
        let mut moved = false;
        while let Some(module) = self.router.next_runnable() {
            moved = true;
            let Some(host) = self.hosts.get_mut(module) else { continue };
            let Some(hosted) = host.hosted.as_mut() else { continue };
            if self.router.deliver(module, |call, op, input| hosted.push(call, op, input).is_ok()) > 0 {
                hosted.flush();
            }
        }
        moved
    }

    fn release_channels(&mut self) {
        while let Some((module, position)) = self.router.take_release() {
            if let Some(hosted) = self.hosts.get_mut(module).and_then(|host| host.hosted.as_mut()) {
                hosted.release(position);
            }
        }
    }

    /// Hands frames to the disk, if it is idle and some have waited long enough.
    fn store(&mut self, now: Time) {
        self.delete_segments();
        let Some(mut bytes) = self.outbox.buffer.take() else { return };
        let records = self.router.fill_store(now, self.outbox.segment(), &mut bytes, BATCH_BYTES);
        if records == 0 && self.tidy_outbox(&mut bytes) == 0 {
            self.outbox.buffer = Some(bytes);
            return;
        }
        self.counts.stored_records += records as u64;
        self.counts.store_batches += 1;
        self.outbox.append(bytes);
    }

    /// Deletes segments in which nothing waits any more.
    fn delete_segments(&mut self) {
        if self.outbox.is_worth_closing() && self.router.stored_bytes() == 0 {
            self.outbox.close_segment();
        }
        while let Some(segment) = self.router.take_dead_segment(self.outbox.segment()) {
            self.outbox.delete(segment);
        }
    }

    /// Moves frames that wait long out of the oldest segment, when the log is much longer than what waits in it.
    fn tidy_outbox(&mut self, bytes: &mut Vec<u8>) -> u64 {
        let Some((oldest, segments)) = self.router.oldest_segment() else { return 0 };
        if segments <= SEGMENTS_KEPT {
            return 0;
        }
        let stored = self.router.stored_bytes();
        if segments as u64 * self.config.outbox.segment_bytes <= 4 * stored {
            return 0;
        }
        self.router.move_segment(oldest, self.outbox.segment(), bytes)
    }

    /// Takes what the disk thread says.
    pub(crate) fn disk(&mut self, notice: Notice) {
        match notice {
            Notice::Durable { bytes } => {
                let now = self.now();
                self.outbox.buffer = Some(bytes);
                self.router.stored(now);
            }
            // Events stay in the rings of their modules until they are accepted: nothing is lost, but nothing is stored.
            Notice::Failed { error } => {
                tracing::error!(%error, "the outbox cannot be written; events are not stored");
            }
        }
    }
}

impl Shared {
    pub(crate) fn new(node: Node) -> Self {
        Self(Rc::new(Inner { node: RefCell::new(node), wake: Notify::new() }))
    }

    /// Changes the state, then does everything that follows from it.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut Node) -> T) -> T {
        let value = change(&mut self.0.node.borrow_mut());
        self.pump();
        value
    }

    /// Looks at the state.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Node) -> T) -> T {
        look(&self.0.node.borrow())
    }

    /// Does what the router wants, until it wants nothing.
    fn pump(&self) {
        let mut guard = self.0.node.borrow_mut();
        let node = &mut *guard;
        loop {
            let mut moved = false;
            while let Some(action) = node.router.next_action() {
                moved = true;
                self.act(node, action);
            }
            moved |= node.run_modules();
            while let Some(link) = node.router.next_writable() {
                moved = true;
                if let Some(io) = node.links.get(&link).cloned() {
                    io.write(&mut node.router, link);
                }
            }
            if !moved {
                break;
            }
        }
        node.release_channels();
        let now = node.now();
        node.store(now);
        if let Some(wake) = node.router.next_wake()
            && wake < node.armed
        {
            self.0.wake.notify_one();
        }
    }

    fn act(&self, node: &mut Node, action: Action) {
        match action {
            Action::Dial { peer, identity, address } => {
                tokio::task::spawn_local(crate::link::dial(self.clone(), peer, identity, address));
            }
            Action::CloseLink { link } => {
                if let Some(io) = node.links.remove(&link) {
                    io.close();
                }
            }
            Action::Answer { token, outcome } => {
                if let Some(waiting) = node.answers.remove(&token) {
                    // Whoever asked may have gone.
                    drop(waiting.send(outcome));
                }
            }
        }
    }

    /// Rings the router's alarms, for ever.
    pub(crate) async fn ring_alarms(self) {
        loop {
            let wait = self.look(|node| {
                let now = node.now();
                node.router.next_wake().map(|wake| (wake, wake.0.saturating_sub(now.0)))
            });
            self.0.node.borrow_mut().armed = wait.map_or(Time(u64::MAX), |(wake, _)| wake);
            let sleep = tokio::time::sleep(Duration::from_micros(wait.map_or(3_600_000_000, |(_, micros)| micros)));
            tokio::select! {
                () = sleep => self.with(|node| {
                    let now = node.now();
                    node.router.tick(now);
                }),
                () = self.0.wake.notified() => {}
            }
        }
    }
}

/// Segments that are never tidied.
const SEGMENTS_KEPT: usize = 8;
/// Bytes that go to the disk at once.
const BATCH_BYTES: usize = 4 << 20;
