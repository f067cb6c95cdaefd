//! Who exists: owners, applications, modules, routes; and what is reported about them.

use crate::alarm::Alarms;
use crate::config::{Limits, RouteIn, RouteOut};
use crate::deliver::{Module, Queued};
use crate::index::{AppIndex, LaneIndex, LinkIndex, ModuleIndex, OwnerIndex, PeerIndex, Slab, Time, TimerIndex};
use crate::lane::{From, Lane, LaneFigures, To};
use crate::links::{Link, Peer};
use crate::store::{Segments, Stretch};
use std::collections::{BTreeMap, VecDeque};
use veritee_ids::Status;

/// Something that the daemon has to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Dial this node; answer with [`Router::link_up`] or [`Router::dial_failed`].
    Dial {
        /// Which.
        peer: PeerIndex,
        /// Its identity.
        identity: [u8; 32],
        /// Where.
        address: String,
    },
    /// Close this link; the router has forgotten it already.
    CloseLink {
        /// Which.
        link: LinkIndex,
    },
    /// Answer a call of an owner.
    Answer {
        /// As given with the call.
        token: u64,
        /// What it came to.
        outcome: Outcome,
    },
}

/// What a call of an owner came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The module answered.
    Entered {
        /// What the entry came to.
        status: Status,
        /// Its value.
        value: u64,
        /// Evidence, control answer, response of an entry, or reply frame.
        reply: Vec<u8>,
    },
    /// The module died before it answered.
    Dead,
    /// The reply did not come in time.
    TimedOut,
}

/// Why a call was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EnterError {
    /// The module is not running.
    #[error("the module is not running")]
    Dead,
    /// Too many calls wait for it.
    #[error("too many calls wait for the module")]
    Full,
    /// The frame is not one.
    #[error("the frame is malformed")]
    Malformed,
}

/// What a router knows about one half of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionReport {
    /// The connection.
    pub connection: u16,
    /// The source's half.
    pub source: bool,
    /// Its forward lane.
    pub forward: LaneFigures,
    /// Its lane of replies.
    pub backward: LaneFigures,
    /// Frames of both that have no verdict yet.
    pub waiting: u64,
    /// Of those, durable.
    pub stored: u64,
}

/// Counts of a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ModuleFigures {
    /// Entries that came back.
    pub outputs: u64,
    /// Frames that it emitted.
    pub emitted: u64,
    /// Frames that it emitted and that no route names: dropped.
    pub unrouted: u64,
    /// Replies to direct requests that nobody waited for any more.
    pub unclaimed: u64,
    /// Outputs that answered no call: interrupts of a driver. They are among `outputs`.
    pub unasked: u64,
}

/// Counts of a timer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TimerFigures {
    /// Times that it entered its module.
    pub entered: u64,
    /// Ticks that were skipped: the module was dead, full, or still at the tick before.
    pub missed: u64,
}

/// Sums over a node, for its metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// All lanes of modules here.
    pub emitted: LaneFigures,
    /// All lanes from other nodes.
    pub arrived: LaneFigures,
    /// Frames without verdict.
    pub waiting: u64,
    /// Bytes of frames in memory.
    pub memory_bytes: u64,
    /// Bytes of frames on disk that wait for their verdict.
    pub stored_bytes: u64,
    /// Links that are up.
    pub links: u64,
    /// Frames dropped because no route named them.
    pub unrouted: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Owner {
    /// The identities that it has, or had before a rotation: links name it by any of them.
    pub(crate) keys: Vec<[u8; 32]>,
    pub(crate) memory: u64,
    pub(crate) arrived: u64,
    pub(crate) stored: u64,
}

#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) owner: OwnerIndex,
    pub(crate) uuid: [u8; 16],
    /// Its number in the outbox, never used again for another one.
    pub(crate) number: u32,
    pub(crate) connections: Vec<Connection>,
    pub(crate) modules: BTreeMap<String, ModuleIndex>,
    /// Modules of other applications that serve this one, by the names that it has for them.
    pub(crate) lent: BTreeMap<String, ModuleIndex>,
}

#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(crate) out: Option<Box<OutHalf>>,
    pub(crate) into: Option<Box<InHalf>>,
    pub(crate) dead_epoch: u32,
}

#[derive(Debug)]
pub(crate) struct OutHalf {
    pub(crate) route: RouteOut,
    /// Frames that the source emits.
    pub(crate) emit: LaneIndex,
    /// Replies that arrive from the target's node.
    pub(crate) accept: LaneIndex,
    pub(crate) peer: Option<PeerIndex>,
    pub(crate) channel: Option<(LinkIndex, u32)>,
}

#[derive(Debug)]
pub(crate) struct InHalf {
    pub(crate) route: RouteIn,
    /// Frames that arrive from the source's node.
    pub(crate) accept: LaneIndex,
    /// Replies that the target emits.
    pub(crate) emit: LaneIndex,
    pub(crate) peer: Option<PeerIndex>,
    pub(crate) channel: Option<(LinkIndex, u32)>,
    /// The last reply of a direct connection, for a caller who asks again.
    pub(crate) last_reply: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Timer {
    pub(crate) module: ModuleIndex,
    pub(crate) entry: u16,
    pub(crate) period: u64,
    pub(crate) due: Time,
    pub(crate) entered: bool,
    pub(crate) figures: TimerFigures,
}

/// The router. See the crate's page for how it is driven.
#[derive(Debug)]
pub struct Router {
    pub(crate) limits: Limits,
    /// This life of the daemon, told to other nodes.
    pub(crate) life: [u8; 16],
    pub(crate) identity: [u8; 32],
    pub(crate) owners: Slab<OwnerIndex, Owner>,
    pub(crate) apps: Slab<AppIndex, Application>,
    pub(crate) app_names: BTreeMap<[u8; 16], Vec<AppIndex>>,
    pub(crate) modules: Slab<ModuleIndex, Module>,
    /// Whose a connection number is at a module that is lent, and its row there.
    pub(crate) lent: BTreeMap<(ModuleIndex, u16), (AppIndex, u16)>,
    pub(crate) lanes: Slab<LaneIndex, Lane>,
    pub(crate) peers: Slab<PeerIndex, Peer>,
    pub(crate) peer_names: BTreeMap<[u8; 32], PeerIndex>,
    pub(crate) links: Slab<LinkIndex, Link>,
    pub(crate) timers: Slab<TimerIndex, Timer>,
    pub(crate) alarms: Alarms,
    pub(crate) segments: Segments,
    pub(crate) batch: Vec<Stretch>,
    /// Frames that are being moved out of a segment: which, and how many.
    pub(crate) moved: Option<(u32, u64)>,
    pub(crate) store_at: Option<Time>,
    pub(crate) unstored: Vec<LaneIndex>,
    pub(crate) runnable: VecDeque<ModuleIndex>,
    pub(crate) writable: VecDeque<LinkIndex>,
    pub(crate) releases: Vec<ModuleIndex>,
    pub(crate) actions: VecDeque<Action>,
    /// Frames dropped since the start because no route named them (also those of removed modules).
    pub(crate) unrouted: u64,
}

impl Router {
    /// Makes a router for the node `identity`. `life` is random, new with each start of the daemon.
    #[must_use]
    pub fn new(limits: Limits, identity: [u8; 32], life: [u8; 16]) -> Self {
        Self {
            limits,
            life,
            identity,
            owners: Slab::default(),
            apps: Slab::default(),
            app_names: BTreeMap::new(),
            modules: Slab::default(),
            lent: BTreeMap::new(),
            lanes: Slab::default(),
            peers: Slab::default(),
            peer_names: BTreeMap::new(),
            links: Slab::default(),
            timers: Slab::default(),
            alarms: Alarms::default(),
            segments: Segments::default(),
            batch: Vec::new(),
            moved: None,
            store_at: None,
            unstored: Vec::new(),
            runnable: VecDeque::new(),
            writable: VecDeque::new(),
            releases: Vec::new(),
            actions: VecDeque::new(),
            unrouted: 0,
        }
    }

    /// The next thing to do.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Adds an owner's namespace.
    pub fn add_owner(&mut self, key: [u8; 32]) -> OwnerIndex {
        self.owners.insert(Owner { keys: vec![key], ..Owner::default() })
    }

    /// Adds an identity to a namespace (a rotation). Links may name the owner by the old or the new one.
    pub fn add_owner_key(&mut self, owner: OwnerIndex, key: [u8; 32]) {
        let keys = &mut self.owners[owner].keys;
        keys.retain(|known| *known != key);
        keys.push(key);
        for app in self.apps.indices() {
            if self.apps[app].owner == owner {
                self.resolve_waiting_binds(app);
            }
        }
    }

    /// Adds an application to a namespace. `number` is its number in the outbox: the daemon keeps it over restarts and
    /// never gives it to another one.
    pub fn add_application(&mut self, owner: OwnerIndex, uuid: [u8; 16], number: u32) -> AppIndex {
        let application = Application {
            owner,
            uuid,
            number,
            connections: Vec::new(),
            modules: BTreeMap::new(),
            lent: BTreeMap::new(),
        };
        let app = self.apps.insert(application);
        self.app_names.entry(uuid).or_default().push(app);
        app
    }

    /// The module of this name, which need not be loaded: one that is lent, or the application's own.
    pub fn module(&mut self, app: AppIndex, name: &str) -> ModuleIndex {
        let state = &self.apps[app];
        if let Some(module) = state.lent.get(name).or_else(|| state.modules.get(name)) {
            return *module;
        }
        let module = self.modules.insert(Module::new(app, self.apps[app].owner));
        self.apps[app].modules.insert(name.to_owned(), module);
        module
    }

    /// The modules of an application, loaded or only named.
    pub fn modules_of(&self, app: AppIndex) -> impl Iterator<Item = (&str, ModuleIndex)> {
        self.apps[app].modules.iter().map(|(name, module)| (name.as_str(), *module))
    }

    /// Removes an application: its modules must be down. What waits is dropped, also of those to whom it lent modules.
    ///
    /// # Panics
    /// When the application was removed before.
    pub fn remove_application(&mut self, app: AppIndex) {
        self.end_lending(app);
        let connections = self.apps[app].connections.len();
        for connection in 0..connections {
            let connection = u16::try_from(connection).expect("connections are numbered by u16");
            self.unroute(app, connection);
        }
        let application = self.apps.remove(app).expect("an index in use");
        if let Some(apps) = self.app_names.get_mut(&application.uuid) {
            apps.retain(|known| *known != app);
            if apps.is_empty() {
                self.app_names.remove(&application.uuid);
            }
        }
        for module in application.modules.into_values() {
            for timer in self.timers.indices() {
                if self.timers[timer].module == module {
                    self.timers.remove(timer);
                }
            }
            self.modules.remove(module);
            self.runnable.retain(|listed| *listed != module);
            self.releases.retain(|listed| *listed != module);
        }
    }

    /// Removes an owner whose applications are removed.
    pub fn remove_owner(&mut self, owner: OwnerIndex) {
        self.owners.remove(owner);
    }

    /// Reports about both halves of all routes of an application.
    #[must_use]
    pub fn connections(&self, app: AppIndex) -> Vec<ConnectionReport> {
        let mut reports = Vec::new();
        for (connection, number) in self.apps[app].connections.iter().zip(0_u16..) {
            if let Some(half) = &connection.out {
                reports.push(self.report(number, true, half.emit, half.accept));
            }
            if let Some(half) = &connection.into {
                reports.push(self.report(number, false, half.accept, half.emit));
            }
        }
        reports
    }

    fn report(&self, connection: u16, source: bool, forward: LaneIndex, backward: LaneIndex) -> ConnectionReport {
        let (forward, backward) = (&self.lanes[forward], &self.lanes[backward]);
        ConnectionReport {
            connection,
            source,
            forward: forward.figures,
            backward: backward.figures,
            waiting: forward.waiting() + backward.waiting(),
            stored: forward.stored_count() + backward.stored_count(),
        }
    }

    /// Frames of an application that wait for a verdict at this node.
    #[must_use]
    pub fn waiting(&self, app: AppIndex) -> u64 {
        self.connections(app).iter().map(|report| report.waiting).sum()
    }

    /// Counts of a module.
    #[must_use]
    pub fn module_figures(&self, module: ModuleIndex) -> ModuleFigures {
        self.modules[module].figures
    }

    /// Counts of a timer.
    #[must_use]
    pub fn timer_figures(&self, timer: TimerIndex) -> TimerFigures {
        self.timers[timer].figures
    }

    /// Sums over everything.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals =
            Totals { unrouted: self.unrouted, links: self.links.iter().count() as u64, ..Totals::default() };
        for (_, lane) in self.lanes.iter() {
            let sum = if lane.from == From::Link { &mut totals.arrived } else { &mut totals.emitted };
            add(sum, &lane.figures);
            totals.waiting += lane.waiting();
        }
        for (_, owner) in self.owners.iter() {
            totals.memory_bytes += owner.memory + owner.arrived;
            totals.stored_bytes += owner.stored;
        }
        totals
    }

    /// Bytes of frames on disk that wait for their verdict.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.owners.iter().map(|(_, owner)| owner.stored).sum()
    }

    /// Puts a lane on the list of whom it sends to, if it has something to send.
    pub(crate) fn list(&mut self, index: LaneIndex) {
        let lane = &mut self.lanes[index];
        if lane.listed || lane.paused || lane.failed || lane.sent.frame >= lane.queue.end() {
            return;
        }
        match lane.to {
            To::Nowhere => {}
            To::Module { module, .. } => {
                lane.listed = true;
                self.modules[module].ready.push_back(index);
                self.make_runnable(module);
            }
            To::Link { link, .. } => {
                lane.listed = true;
                self.links[link].ready.push_back(index);
                self.make_writable(link);
            }
        }
    }

    /// Takes a lane off the list of whom it sends to. Needed before its destination changes.
    pub(crate) fn delist(&mut self, index: LaneIndex) {
        let lane = &mut self.lanes[index];
        if !core::mem::take(&mut lane.listed) {
            return;
        }
        let ready = match lane.to {
            To::Nowhere => return,
            To::Module { module, .. } => &mut self.modules[module].ready,
            To::Link { link, .. } => &mut self.links[link].ready,
        };
        ready.retain(|listed| *listed != index);
    }

    pub(crate) fn make_runnable(&mut self, module: ModuleIndex) {
        let state = &mut self.modules[module];
        if state.alive && !state.full && !state.runnable {
            state.runnable = true;
            self.runnable.push_back(module);
        }
    }

    pub(crate) fn make_writable(&mut self, link: LinkIndex) {
        let state = &mut self.links[link];
        if !state.writable {
            state.writable = true;
            self.writable.push_back(link);
        }
    }

    /// The next module that has something to be entered with; call [`Router::deliver`] for it.
    pub fn next_runnable(&mut self) -> Option<ModuleIndex> {
        let module = self.runnable.pop_front()?;
        self.modules[module].runnable = false;
        Some(module)
    }

    /// The next link that has something to be written; call [`Router::fill_link`] for it.
    pub fn next_writable(&mut self) -> Option<LinkIndex> {
        let link = self.writable.pop_front()?;
        self.links[link].writable = false;
        Some(link)
    }

    /// The next module whose channel can be freed, and up to where.
    pub fn take_release(&mut self) -> Option<(ModuleIndex, u64)> {
        loop {
            let module = self.releases.pop()?;
            let state = &mut self.modules[module];
            state.release_listed = false;
            if let Some(position) = state.release.take() {
                return Some((module, position));
            }
        }
    }

    /// Queues a call for a module.
    pub(crate) fn queue_call(&mut self, module: ModuleIndex, call: Queued) {
        let state = &mut self.modules[module];
        if call.op.is_control() {
            state.control.push_back(call);
        } else {
            state.entries.push_back(call);
        }
        self.make_runnable(module);
    }
}

fn add(sum: &mut LaneFigures, more: &LaneFigures) {
    sum.frames += more.frames;
    sum.accepted += more.accepted;
    sum.duplicates += more.duplicates;
    sum.gaps += more.gaps;
    sum.busy += more.busy;
    sum.refused += more.refused;
    sum.dropped += more.dropped;
    sum.resent += more.resent;
}
