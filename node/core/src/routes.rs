//! Routes: who is wired to whom, and what a lane's destination is at the moment.

use crate::alarm::Alarm;
use crate::config::{Remote, RouteIn, RouteOut};
use crate::index::{AppIndex, LaneIndex, PeerIndex, Time};
use crate::lane::{From, Lane, To};
use crate::router::{Connection, InHalf, OutHalf, Router};

impl Router {
    pub(crate) fn connection_mut(&mut self, app: AppIndex, connection: u16) -> &mut Connection {
        let connections = &mut self.apps[app].connections;
        let place = usize::from(connection);
        if connections.len() <= place {
            connections.resize_with(place + 1, Connection::default);
        }
        &mut connections[place]
    }

    /// Sets the source's half of a route, or changes it. Frames that wait stay.
    pub fn route_out(&mut self, app: AppIndex, connection: u16, route: RouteOut) {
        let existing = self.connection_mut(app, connection).out.take();
        if existing.as_ref().is_some_and(|half| half.route == route) {
            self.connection_mut(app, connection).out = existing;
            return;
        }
        let peer = self.refer_peer(&route.target);
        let half = match existing {
            Some(mut half) => {
                self.leave_peer_out(app, connection, &mut half);
                half.route = route;
                half.peer = peer;
                half
            }
            None => {
                let emit = self.lanes.insert(Lane::new(app, connection, From::Module(route.source), false));
                let accept = self.lanes.insert(Lane::new(app, connection, From::Link, true));
                Box::new(OutHalf { route, emit, accept, peer, channel: None })
            }
        };
        self.lanes[half.emit].from = From::Module(half.route.source);
        self.connection_mut(app, connection).out = Some(half);
        self.resolve(app, connection);
        if let Some(peer) = peer {
            self.peers[peer].routes.insert((app, connection));
            self.bind(app, connection);
            self.want_dial(peer);
        }
    }

    /// Sets the target's half of a route, or changes it.
    pub fn route_in(&mut self, now: Time, app: AppIndex, connection: u16, route: RouteIn) {
        let existing = self.connection_mut(app, connection).into.take();
        if existing.as_ref().is_some_and(|half| half.route == route) {
            self.connection_mut(app, connection).into = existing;
            return;
        }
        let peer = self.refer_peer(&route.source);
        let half = match existing {
            Some(mut half) => {
                self.leave_peer_in(&mut half);
                half.route = route;
                half.peer = peer;
                half
            }
            None => {
                let accept = self.lanes.insert(Lane::new(app, connection, From::Link, false));
                let emit = self.lanes.insert(Lane::new(app, connection, From::Module(route.target), true));
                Box::new(InHalf { route, accept, emit, peer, channel: None, last_reply: Vec::new() })
            }
        };
        self.lanes[half.emit].from = From::Module(half.route.target);
        let deadline = half.route.deadline;
        self.connection_mut(app, connection).into = Some(half);
        self.resolve(app, connection);
        self.resolve_waiting_binds(app);
        if deadline > 0 {
            if let Some(lane) = self.arriving_lane(app, connection) {
                self.lanes[lane].accepted_at = now;
                self.lanes[lane].late = false;
            }
            self.alarms.set(now.after(deadline), Alarm::Late(app, connection));
        }
    }

    /// Forgets both halves of a route. Frames that wait are dropped; says how many.
    pub fn unroute(&mut self, app: AppIndex, connection: u16) -> u64 {
        let state = self.connection_mut(app, connection);
        let (out, into) = (state.out.take(), state.into.take());
        let mut dropped = 0;
        if let Some(mut half) = out {
            self.leave_peer_out(app, connection, &mut half);
            dropped += self.remove_lane(half.emit) + self.remove_lane(half.accept);
        }
        if let Some(mut half) = into {
            self.leave_peer_in(&mut half);
            dropped += self.remove_lane(half.emit) + self.remove_lane(half.accept);
        }
        dropped
    }

    /// True when either half of a route is set.
    #[must_use]
    pub fn is_routed(&self, app: AppIndex, connection: u16) -> bool {
        let connection = self.apps[app].connections.get(usize::from(connection));
        connection.is_some_and(|connection| connection.out.is_some() || connection.into.is_some())
    }

    fn remove_lane(&mut self, index: LaneIndex) -> u64 {
        self.set_to(index, To::Nowhere);
        let dropped = self.empty_lane(index);
        self.unrouted += dropped;
        self.unstored.retain(|listed| *listed != index);
        self.batch.retain(|stretch| !stretch.is_of(index));
        self.lanes.remove(index);
        dropped
    }

    /// Empties a lane; says how many frames are lost by it. Frames that arrived are not: their sender still has them.
    pub(crate) fn empty_lane(&mut self, index: LaneIndex) -> u64 {
        let emitted = self.lanes[index].from != From::Link;
        let dropped = if emitted { self.lanes[index].waiting() } else { 0 };
        self.drop_parked(index, u32::MAX);
        loop {
            let front = self.lanes[index].queue.front().frame;
            self.release(index, front);
            let lane = &mut self.lanes[index];
            let Some(meta) = lane.queue.pop() else { break };
            if lane.from == From::Link {
                let owner = self.apps[lane.app].owner;
                self.owners[owner].arrived -= u64::from(meta.length) + crate::emit::META_BYTES;
            } else if meta.done != Some(veritee_ids::Status::Refused) {
                self.free(index, meta);
            }
        }
        let lane = &mut self.lanes[index];
        lane.verdicts.clear();
        lane.rewind();
        lane.shedding = false;
        dropped
    }

    /// The lane through which frames of a connection reach their target here.
    pub(crate) fn arriving_lane(&self, app: AppIndex, connection: u16) -> Option<LaneIndex> {
        let connection = self.apps.get(app)?.connections.get(usize::from(connection))?;
        let half = connection.into.as_ref()?;
        match half.route.source {
            Remote::Here(_) => connection.out.as_ref().map(|out| out.emit),
            Remote::Node { .. } | Remote::Owner => Some(half.accept),
        }
    }

    /// Points the lanes of a connection to where their frames go now.
    pub(crate) fn resolve(&mut self, app: AppIndex, connection: u16) {
        let state = self.connection_mut(app, connection);
        let here = |module, row| To::Module { module, row };
        let out = state.out.as_deref();
        let into = state.into.as_deref();
        let mut settings = [(None, To::Nowhere); 4];
        if let Some(out) = out {
            let forward = match (&out.route.target, into) {
                (Remote::Here(target), Some(into)) if into.route.target == *target => {
                    here(*target, into.route.target_row)
                }
                (Remote::Node { .. }, _) => by_link(out.channel),
                _ => To::Nowhere,
            };
            settings[0] = (Some(out.emit), forward);
            settings[1] = (Some(out.accept), here(out.route.source, out.route.source_row));
        }
        if let Some(into) = into {
            let backward = match (&into.route.source, out) {
                (Remote::Here(source), Some(out)) if out.route.source == *source => here(*source, out.route.source_row),
                (Remote::Node { .. }, _) => by_link(into.channel),
                _ => To::Nowhere,
            };
            settings[2] = (Some(into.emit), backward);
            settings[3] = (Some(into.accept), here(into.route.target, into.route.target_row));
        }
        for (lane, to) in settings {
            if let Some(lane) = lane {
                self.set_to(lane, to);
            }
        }
    }

    pub(crate) fn set_to(&mut self, index: LaneIndex, to: To) {
        if self.lanes[index].to == to {
            return;
        }
        self.delist(index);
        let lane = &mut self.lanes[index];
        lane.to = to;
        lane.rewind();
        self.list(index);
    }

    /// The peer that a remote names, made if it is new.
    fn refer_peer(&mut self, remote: &Remote) -> Option<PeerIndex> {
        let Remote::Node { identity, address } = remote else { return None };
        let peer = self.peer(*identity);
        let state = &mut self.peers[peer];
        state.references += 1;
        if !address.is_empty() {
            *state.addresses.entry(address.clone()).or_default() += 1;
        }
        Some(peer)
    }

    fn leave_peer(&mut self, peer: PeerIndex, remote: &Remote) {
        let Remote::Node { address, .. } = remote else { return };
        let state = &mut self.peers[peer];
        if let Some(references) = state.addresses.get_mut(address) {
            *references -= 1;
            if *references == 0 {
                state.addresses.remove(address);
            }
        }
        state.references -= 1;
        if state.references == 0 {
            self.forget_peer(peer);
        }
    }

    fn leave_peer_out(&mut self, app: AppIndex, connection: u16, half: &mut OutHalf) {
        let Some(peer) = half.peer.take() else { return };
        self.set_to(half.emit, To::Nowhere);
        self.empty_lane(half.accept);
        if let Some((link, channel)) = half.channel.take() {
            self.free_channel(link, channel);
        } else {
            self.cancel_bind(peer, app, connection);
        }
        self.peers[peer].routes.remove(&(app, connection));
        self.leave_peer(peer, &half.route.target);
    }

    fn leave_peer_in(&mut self, half: &mut InHalf) {
        let Some(peer) = half.peer.take() else { return };
        self.set_to(half.emit, To::Nowhere);
        self.empty_lane(half.accept);
        if let Some((link, channel)) = half.channel.take() {
            self.unbind(link, channel);
        }
        self.leave_peer(peer, &half.route.source);
    }
}

fn by_link(channel: Option<(crate::LinkIndex, u32)>) -> To {
    channel.map_or(To::Nowhere, |(link, channel)| To::Link { link, channel })
}
