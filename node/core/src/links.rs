//! Links to other nodes: who is dialled, which channel is which connection, what arrives and what goes out.
//!
//! A peer is trusted with nothing but the liveness of its own connections: what it may name is bound by the routes that
//! owners set, and every claim that does not fit ends its link.

mod traffic;

use crate::alarm::Alarm;
use crate::config::Remote;
use crate::index::{AppIndex, LaneIndex, LinkIndex, PeerIndex, Time};
use crate::message::{self, FRONT_BYTES, Kind, LINK_VERSION};
use crate::queue::PREFIX_BYTES;
use crate::router::{Action, Router};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Why a link must be closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkFault {
    /// A message of an unknown kind, or longer than its kind allows.
    #[error("the other node sent a malformed message")]
    Malformed,
    /// The other node speaks another version.
    #[error("the other node speaks version {theirs} of links, this one {LINK_VERSION}")]
    Version {
        /// Its version.
        theirs: u16,
    },
    /// A message that the protocol does not allow now.
    #[error("the other node broke the protocol: {0}")]
    Protocol(&'static str),
    /// Another link to the same node is as good, and was chosen by both ends.
    #[error("another link to the same node is kept")]
    Superfluous,
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) identity: [u8; 32],
    /// Where it can be dialled, with how many routes say so.
    pub(crate) addresses: BTreeMap<String, u32>,
    next_address: usize,
    /// Halves of routes that name it.
    pub(crate) references: u32,
    /// Connections whose frames go to it.
    pub(crate) routes: BTreeSet<(AppIndex, u16)>,
    links: Vec<LinkIndex>,
    dialing: bool,
    dial_pause: u64,
}

#[derive(Debug)]
pub(crate) struct Link {
    peer: PeerIndex,
    /// This node dialled it.
    dialed: bool,
    /// The other daemon's life, once it has greeted.
    life: Option<[u8; 16]>,
    /// Messages other than frames and verdicts, to go out first.
    control: Vec<u8>,
    pub(crate) ready: VecDeque<LaneIndex>,
    verdicts: Vec<LaneIndex>,
    verdict_count: u32,
    verdicts_due: bool,
    /// Channels that this node bound, by number; a number is used once.
    ours: Vec<Option<(AppIndex, u16)>>,
    /// Channels that the other node bound.
    theirs: Vec<Theirs>,
    /// Of those, the ones without a route here.
    unknown: BTreeMap<([u8; 16], u16), u32>,
    pub(crate) writable: bool,
}

/// A channel that the other node bound.
#[derive(Clone, Copy, Debug)]
enum Theirs {
    Free,
    Unknown { owner: [u8; 32], application: [u8; 16], connection: u16 },
    Bound(AppIndex, u16),
}

impl Router {
    /// True when a route of any owner names this node.
    #[must_use]
    pub fn is_peer(&self, identity: &[u8; 32]) -> bool {
        self.peer_names.contains_key(identity)
    }

    /// The peer of this identity, if a route names it.
    #[must_use]
    pub fn peer_of(&self, identity: &[u8; 32]) -> Option<PeerIndex> {
        self.peer_names.get(identity).copied()
    }

    pub(crate) fn peer(&mut self, identity: [u8; 32]) -> PeerIndex {
        if let Some(peer) = self.peer_names.get(&identity) {
            return *peer;
        }
        let peer = self.peers.insert(Peer {
            identity,
            addresses: BTreeMap::new(),
            next_address: 0,
            references: 0,
            routes: BTreeSet::new(),
            links: Vec::new(),
            dialing: false,
            dial_pause: self.limits.dial_pause.0,
        });
        self.peer_names.insert(identity, peer);
        peer
    }

    pub(crate) fn forget_peer(&mut self, peer: PeerIndex) {
        let links = self.peers[peer].links.clone();
        for link in links {
            self.drop_link(link);
            self.actions.push_back(Action::CloseLink { link });
        }
        let state = self.peers.remove(peer).expect("an index in use");
        self.peer_names.remove(&state.identity);
    }

    /// Dials a node if frames go to it and no link is up.
    pub(crate) fn want_dial(&mut self, peer: PeerIndex) {
        let Some(state) = self.peers.get_mut(peer) else { return };
        if state.dialing || state.routes.is_empty() || state.addresses.is_empty() || !state.links.is_empty() {
            return;
        }
        state.dialing = true;
        let place = state.next_address % state.addresses.len();
        state.next_address = place + 1;
        let address = state.addresses.keys().nth(place).expect("the place is below the length").clone();
        self.actions.push_back(Action::Dial { peer, identity: state.identity, address });
    }

    /// A dial came to nothing: it is tried again after a pause that doubles.
    pub fn dial_failed(&mut self, now: Time, peer: PeerIndex, identity: &[u8; 32]) {
        if self.peers.get(peer).is_some_and(|state| state.identity == *identity && state.dialing) {
            self.pause_dial(now, peer);
        }
    }

    fn pause_dial(&mut self, now: Time, peer: PeerIndex) {
        let state = &mut self.peers[peer];
        state.dialing = true;
        let pause = state.dial_pause;
        state.dial_pause = (pause * 2).min(self.limits.dial_pause.1);
        self.alarms.set(now.after(pause), Alarm::Dial(peer));
    }

    pub(crate) fn redial(&mut self, peer: PeerIndex) {
        if let Some(state) = self.peers.get_mut(peer) {
            state.dialing = false;
            self.want_dial(peer);
        }
    }

    /// A channel to a node is authenticated. `dialed` says that this node dialled it. `None` when no route names the node
    /// any more: close it.
    pub fn link_up(&mut self, identity: &[u8; 32], dialed: bool) -> Option<LinkIndex> {
        let peer = self.peer_of(identity)?;
        let mut control = Vec::new();
        let mut hello = [0; 20];
        hello[..2].copy_from_slice(&LINK_VERSION.to_le_bytes());
        hello[4..].copy_from_slice(&self.life);
        message::put(&mut control, Kind::Hello, 0, &hello);
        let link = self.links.insert(Link {
            peer,
            dialed,
            life: None,
            control,
            ready: VecDeque::new(),
            verdicts: Vec::new(),
            verdict_count: 0,
            verdicts_due: false,
            ours: Vec::new(),
            theirs: Vec::new(),
            unknown: BTreeMap::new(),
            writable: false,
        });
        let state = &mut self.peers[peer];
        state.links.push(link);
        if dialed {
            state.dialing = false;
        }
        self.make_writable(link);
        Some(link)
    }

    /// A link has ended. What was on it goes out again on the next one.
    pub fn link_down(&mut self, now: Time, link: LinkIndex) {
        let Some(state) = self.links.get(link) else { return };
        let peer = state.peer;
        self.drop_link(link);
        let state = &self.peers[peer];
        if state.links.is_empty() && !state.dialing && !state.routes.is_empty() {
            self.pause_dial(now, peer);
        }
    }

    fn drop_link(&mut self, link: LinkIndex) {
        let state = &mut self.links[link];
        let peer = state.peer;
        let ours = core::mem::take(&mut state.ours);
        let theirs = core::mem::take(&mut state.theirs);
        for (app, connection) in ours.into_iter().flatten() {
            let Some(half) = self.connection_mut(app, connection).out.as_mut() else { continue };
            if half.channel.is_some_and(|(on, _)| on == link) {
                half.channel = None;
                let accept = half.accept;
                self.empty_lane(accept);
                self.lanes[accept].source = None;
                self.resolve(app, connection);
            }
        }
        for channel in theirs {
            let Theirs::Bound(app, connection) = channel else { continue };
            self.unbind_half(app, connection);
        }
        self.writable.retain(|listed| *listed != link);
        self.links.remove(link);
        let state = &mut self.peers[peer];
        state.links.retain(|other| *other != link);
        if let Some(other) = self.best_link(peer) {
            self.bind_all(peer, other);
        }
    }

    /// The link that connections to a peer use: the oldest one that has greeted.
    fn best_link(&self, peer: PeerIndex) -> Option<LinkIndex> {
        self.peers[peer].links.iter().copied().find(|link| self.links[*link].life.is_some())
    }

    fn bind_all(&mut self, peer: PeerIndex, link: LinkIndex) {
        let routes: Vec<_> = self.peers[peer].routes.iter().copied().collect();
        for (app, connection) in routes {
            if self.out_half(app, connection).is_some_and(|half| half.channel.is_none()) {
                self.cancel_bind(peer, app, connection);
                self.bind_on(link, app, connection);
            }
        }
    }

    /// Binds a connection to a channel of its peer's link, if there is one.
    pub(crate) fn bind(&mut self, app: AppIndex, connection: u16) {
        let Some(peer) = self.out_half(app, connection).and_then(|half| half.peer) else { return };
        if let Some(link) = self.best_link(peer) {
            self.bind_on(link, app, connection);
        }
    }

    fn bind_on(&mut self, link: LinkIndex, app: AppIndex, connection: u16) {
        let application = &self.apps[app];
        let owner = self.owners[application.owner].keys.last().expect("an owner has a key");
        let mut body = [0; 50];
        body[..32].copy_from_slice(owner);
        body[32..48].copy_from_slice(&application.uuid);
        body[48..].copy_from_slice(&connection.to_le_bytes());
        let state = &mut self.links[link];
        let channel = u32::try_from(state.ours.len()).expect("fewer channels than the limit");
        if channel >= CHANNELS_MAX {
            // Numbers are used once; a new link starts over.
            self.actions.push_back(Action::CloseLink { link });
            self.drop_link(link);
            return;
        }
        state.ours.push(Some((app, connection)));
        message::put(&mut state.control, Kind::Bind, channel, &body);
        self.make_writable(link);
    }

    /// Frees the channel of a connection that was asked for and not granted yet.
    pub(crate) fn cancel_bind(&mut self, peer: PeerIndex, app: AppIndex, connection: u16) {
        for link in self.peers[peer].links.clone() {
            let ours = &self.links[link].ours;
            let place = ours.iter().position(|bound| *bound == Some((app, connection)));
            if let Some(channel) = place.and_then(|place| u32::try_from(place).ok()) {
                self.free_channel(link, channel);
            }
        }
    }

    pub(crate) fn free_channel(&mut self, link: LinkIndex, channel: u32) {
        let Some(state) = self.links.get_mut(link) else { return };
        state.ours[channel as usize] = None;
        message::put(&mut state.control, Kind::Free, channel, &[]);
        self.make_writable(link);
    }

    fn out_half(&self, app: AppIndex, connection: u16) -> Option<&crate::router::OutHalf> {
        self.apps.get(app)?.connections.get(usize::from(connection))?.out.as_deref()
    }

    /// Tells the source's node that a route is gone; it will ask again.
    pub(crate) fn unbind(&mut self, link: LinkIndex, channel: u32) {
        let Some(state) = self.links.get_mut(link) else { return };
        state.theirs[channel as usize] = Theirs::Free;
        message::put(&mut state.control, Kind::Unbound, channel, &[]);
        self.make_writable(link);
    }

    /// Takes the channel away from a target's half: what arrived will arrive again.
    fn unbind_half(&mut self, app: AppIndex, connection: u16) {
        let Some(half) = self.connection_mut(app, connection).into.as_mut() else { return };
        half.channel = None;
        let accept = half.accept;
        self.empty_lane(accept);
        self.lanes[accept].source = None;
        self.resolve(app, connection);
    }

    /// Looks for channels that wait for routes of this application.
    pub(crate) fn resolve_waiting_binds(&mut self, app: AppIndex) {
        let uuid = self.apps[app].uuid;
        for link in self.links.indices() {
            let waiting: Vec<u32> =
                self.links[link].unknown.range((uuid, 0)..=(uuid, u16::MAX)).map(|(_, channel)| *channel).collect();
            for channel in waiting {
                self.resolve_bind(link, channel);
            }
        }
    }

    /// Grants a channel if the route is here, its owner is the one named, and its source is the link's peer.
    fn resolve_bind(&mut self, link: LinkIndex, channel: u32) {
        let Theirs::Unknown { owner, application, connection } = self.links[link].theirs[channel as usize] else {
            return;
        };
        let peer = self.links[link].peer;
        let apps = self.app_names.get(&application).cloned().unwrap_or_default();
        let names = |app: &AppIndex| {
            let state = &self.apps[*app];
            let known = self.owners[state.owner].keys.contains(&owner);
            let half = state.connections.get(usize::from(connection)).and_then(|c| c.into.as_ref());
            known && half.is_some_and(|half| half.peer == Some(peer))
        };
        let Some(app) = apps.into_iter().find(names) else { return };
        let half = self.connection_mut(app, connection).into.as_mut().expect("it was just found");
        if let Some((old_link, old_channel)) = half.channel.take() {
            // The newest binding counts: the source's node has given the old one up.
            if let Some(old) = self.links.get_mut(old_link) {
                old.theirs[old_channel as usize] = Theirs::Free;
            }
            self.unbind_half(app, connection);
        }
        let half = self.connection_mut(app, connection).into.as_mut().expect("it was just found");
        half.channel = Some((link, channel));
        let accept = half.accept;
        self.lanes[accept].source = Some((link, channel));
        let state = &mut self.links[link];
        state.theirs[channel as usize] = Theirs::Bound(app, connection);
        state.unknown.remove(&(application, connection));
        message::put(&mut state.control, Kind::Bound, channel, &[]);
        self.make_writable(link);
        self.resolve(app, connection);
    }

    /// Takes bytes that arrived on a link; says how many of them were whole messages. The rest is to be given again
    /// with what follows it.
    ///
    /// # Errors
    /// [`LinkFault`] when the link must be closed; the router has forgotten it then.
    pub fn link_input(&mut self, now: Time, link: LinkIndex, bytes: &[u8]) -> Result<usize, LinkFault> {
        let mut taken = 0;
        while let Some(front) = bytes[taken..].first_chunk::<FRONT_BYTES>() {
            let Some((kind, channel, length)) = message::parse_front(*front) else {
                return Err(self.fault(now, link, LinkFault::Malformed));
            };
            let Some(whole) = bytes.get(taken..taken + FRONT_BYTES + length) else { break };
            if let Err(fault) = self.link_message(now, link, kind, channel, whole) {
                return Err(self.fault(now, link, fault));
            }
            taken += FRONT_BYTES + length;
        }
        Ok(taken)
    }

    fn fault(&mut self, now: Time, link: LinkIndex, fault: LinkFault) -> LinkFault {
        self.link_down(now, link);
        fault
    }

    fn link_message(
        &mut self, now: Time, link: LinkIndex, kind: Kind, channel: u32, whole: &[u8],
    ) -> Result<(), LinkFault> {
        let body = &whole[FRONT_BYTES..];
        if self.links[link].life.is_none() && kind != Kind::Hello {
            return Err(LinkFault::Protocol("no greeting"));
        }
        match kind {
            Kind::Event => self.arrived(now, link, channel, whole, false),
            Kind::EventVerdict => self.verdicts_arrived(now, link, channel, body, false),
            Kind::Reply => self.replied(now, link, channel, whole, false),
            Kind::ReplyVerdict => self.verdicts_arrived(now, link, channel, body, true),
            Kind::EventFirst => self.arrived(now, link, channel, whole, true),
            Kind::ReplyFirst => self.replied(now, link, channel, whole, true),
            Kind::Hello => self.greeted(link, body),
            Kind::Bind => self.bind_arrived(link, channel, body),
            Kind::Bound => self.bound_arrived(link, channel),
            Kind::Unbound => self.unbound_arrived(link, channel),
            Kind::Free => self.free_arrived(link, channel),
            Kind::Ping => {
                message::put(&mut self.links[link].control, Kind::Pong, 0, &[]);
                self.make_writable(link);
                Ok(())
            }
            Kind::Pong => Ok(()),
        }
    }

    fn greeted(&mut self, link: LinkIndex, body: &[u8]) -> Result<(), LinkFault> {
        let state = &mut self.links[link];
        let (Some((version, rest)), None) = (body.split_first_chunk::<2>(), state.life) else {
            return Err(LinkFault::Protocol("a second greeting"));
        };
        let theirs = u16::from_le_bytes(*version);
        if theirs != LINK_VERSION {
            return Err(LinkFault::Version { theirs });
        }
        let Some((_, life)) = rest.split_first_chunk::<2>() else { return Err(LinkFault::Malformed) };
        let life: [u8; 16] = life.try_into().map_err(|_| LinkFault::Malformed)?;
        state.life = Some(life);
        let (peer, dialed) = (state.peer, state.dialed);
        let ours_is_lower = self.identity < self.peers[peer].identity;
        for other in self.peers[peer].links.clone() {
            let Some(other_life) = self.links[other].life.filter(|_| other != link) else { continue };
            // A restarted daemon, or a second dial of the same end: the newer one. Else the one of the lower identity.
            let newer = other_life != life || self.links[other].dialed == dialed || dialed == ours_is_lower;
            if !newer {
                return Err(LinkFault::Superfluous);
            }
            self.actions.push_back(Action::CloseLink { link: other });
            self.drop_link(other);
        }
        self.peers[peer].dial_pause = self.limits.dial_pause.0;
        self.bind_all(peer, link);
        if self.has_link(link) { Ok(()) } else { Err(LinkFault::Protocol("no more channels")) }
    }

    fn bind_arrived(&mut self, link: LinkIndex, channel: u32, body: &[u8]) -> Result<(), LinkFault> {
        let state = &mut self.links[link];
        if channel as usize != state.theirs.len() || channel >= CHANNELS_MAX {
            return Err(LinkFault::Protocol("channels are bound in order"));
        }
        let body: &[u8; 50] = body.try_into().map_err(|_| LinkFault::Malformed)?;
        let (owner, rest) = body.split_first_chunk::<32>().expect("50 bytes");
        let (application, connection) = rest.split_first_chunk::<16>().expect("18 bytes");
        let connection = u16::from_le_bytes([connection[0], connection[1]]);
        state.theirs.push(Theirs::Unknown { owner: *owner, application: *application, connection });
        if let Some(older) = state.unknown.insert((*application, connection), channel) {
            state.theirs[older as usize] = Theirs::Free;
        }
        self.resolve_bind(link, channel);
        Ok(())
    }

    fn bound_arrived(&mut self, link: LinkIndex, channel: u32) -> Result<(), LinkFault> {
        let bound = self.links[link].ours.get(channel as usize).ok_or(LinkFault::Protocol("no such channel"))?;
        // It may have been freed meanwhile.
        let Some((app, connection)) = *bound else { return Ok(()) };
        let half = self.connection_mut(app, connection).out.as_mut().expect("a channel in use has its route");
        if half.channel.is_some() {
            return Err(LinkFault::Protocol("a channel is granted once"));
        }
        half.channel = Some((link, channel));
        let accept = half.accept;
        self.lanes[accept].source = Some((link, channel));
        self.resolve(app, connection);
        Ok(())
    }

    fn unbound_arrived(&mut self, link: LinkIndex, channel: u32) -> Result<(), LinkFault> {
        let place = self.links[link].ours.get_mut(channel as usize).ok_or(LinkFault::Protocol("no such channel"))?;
        let Some((app, connection)) = place.take() else { return Ok(()) };
        let half = self.connection_mut(app, connection).out.as_mut().expect("a channel in use has its route");
        half.channel = None;
        let accept = half.accept;
        self.empty_lane(accept);
        self.lanes[accept].source = None;
        self.resolve(app, connection);
        self.bind_on(link, app, connection);
        Ok(())
    }

    fn free_arrived(&mut self, link: LinkIndex, channel: u32) -> Result<(), LinkFault> {
        let state = &mut self.links[link];
        let place = state.theirs.get_mut(channel as usize).ok_or(LinkFault::Protocol("no such channel"))?;
        match core::mem::replace(place, Theirs::Free) {
            Theirs::Free => {}
            Theirs::Unknown { application, connection, .. } => {
                state.unknown.remove(&(application, connection));
            }
            Theirs::Bound(app, connection) => self.unbind_half(app, connection),
        }
        Ok(())
    }

    /// True while this link is the router's.
    #[must_use]
    pub fn has_link(&self, link: LinkIndex) -> bool {
        self.links.get(link).is_some()
    }

    /// True when the other end of this remote's link has greeted (for reports).
    #[must_use]
    pub fn is_linked(&self, remote: &Remote) -> bool {
        match remote {
            Remote::Node { identity, .. } => self.peer_of(identity).is_some_and(|peer| self.best_link(peer).is_some()),
            _ => true,
        }
    }
}

const _: () = assert!(PREFIX_BYTES == FRONT_BYTES);
/// Channels that one end binds in the life of a link.
const CHANNELS_MAX: u32 = 1 << 18;
