//! Outputs of modules: the answer to a call, and frames for the outbox. All of it is untrusted.

use crate::deliver::{Direct, Origin};
use crate::index::{LaneIndex, ModuleIndex, Time};
use crate::queue::{Meta, PREFIX_BYTES};
use crate::router::{Action, Outcome, Router};
use veritee_host::{OutputReader, OutputRecord, UNASKED};
use veritee_ids::limits::{FRAME_BYTES_MAX, FRAME_HEADER_BYTES, TAG_BYTES};
use veritee_ids::{FrameKind, Status};
use veritee_wire::layout::EntryResult;

/// A module broke the rules of its channel: it should be ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BrokenModule {
    /// An output is not a stream of records that begins with a result.
    #[error("its output is malformed")]
    Malformed,
    /// It answered a call that was not the next one.
    #[error("it answered calls out of order")]
    OutOfOrder,
}

impl Router {
    /// Takes an output of a module: `position` behind it, the `call` that it answers ([`UNASKED`] for none), and its
    /// records.
    ///
    /// # Errors
    /// [`BrokenModule`] when the module broke its channel; frames before the broken record are taken nevertheless.
    pub fn output(
        &mut self, now: Time, module: ModuleIndex, position: u64, call: u64, bytes: &[u8],
    ) -> Result<(), BrokenModule> {
        let state = &mut self.modules[module];
        state.figures.outputs += 1;
        let output = state.outputs_first.wrapping_add(u32::try_from(state.outputs.len()).unwrap_or(u32::MAX));
        // Held until all frames are taken, so that none can free it in between.
        state.outputs.push_back((position, 1));
        let taken = self.take_records(module, output, bytes);
        self.unhold(module, output);
        self.want_store(now);
        let (result, reply) = taken?;
        let state = &mut self.modules[module];
        if call == UNASKED {
            // Nobody waits for its result, and no room for calls came free.
            state.figures.unasked += 1;
            return Ok(());
        }
        if state.full {
            state.full = false;
            self.make_runnable(module);
        }
        self.answered(now, module, call, result, reply)
    }

    fn take_records<'a>(
        &mut self, module: ModuleIndex, output: u32, bytes: &'a [u8],
    ) -> Result<(EntryResult, &'a [u8]), BrokenModule> {
        let mut records = OutputReader::new(bytes);
        let Some(Ok(OutputRecord::Result(result))) = records.next() else {
            return Err(BrokenModule::Malformed);
        };
        let mut reply: &[u8] = &[];
        for record in records {
            match record.map_err(|_| BrokenModule::Malformed)? {
                OutputRecord::Result(_) => return Err(BrokenModule::Malformed),
                OutputRecord::Reply(bytes) => reply = bytes,
                OutputRecord::Frame(frame) => self.emitted(module, output, frame),
            }
        }
        Ok((result, reply))
    }

    /// Queues a frame that a module emitted.
    fn emitted(&mut self, module: ModuleIndex, output: u32, frame: &[u8]) {
        let state = &mut self.modules[module];
        state.figures.emitted += 1;
        let Some(lane) = self.lane_of(module, frame) else {
            if !self.direct_reply(module, frame) {
                self.modules[module].figures.unrouted += 1;
                self.unrouted += 1;
            }
            return;
        };
        let length = u32::try_from(frame.len() + PREFIX_BYTES).expect("a frame is short");
        self.hold(module, output);
        self.push_emitted(lane, frame, Meta { length, segment: 0, output, released: false, done: None });
    }

    /// Appends a frame to a lane of the outbox and lists the lane wherever it has work now.
    pub(crate) fn push_emitted(&mut self, index: LaneIndex, frame: &[u8], meta: Meta) {
        let lane = &mut self.lanes[index];
        lane.queue.push(frame, meta);
        lane.figures.frames += 1;
        let crate::lane::From::Module(module) = lane.from else { unreachable!("only modules emit") };
        if !lane.unstored_listed && meta.segment == 0 {
            lane.unstored_listed = true;
            self.unstored.push(index);
        }
        let listed = lane.listed;
        // What a lent driver emits is charged to the borrower.
        let owner = self.apps[lane.app].owner;
        let cost = u64::from(meta.length) + META_BYTES;
        self.modules[module].memory += cost;
        self.owners[owner].memory += cost;
        if !listed {
            self.list(index);
        }
    }

    /// The lane that a frame of this module goes to, by its header.
    fn lane_of(&self, module: ModuleIndex, frame: &[u8]) -> Option<LaneIndex> {
        if frame.len() < FRAME_HEADER_BYTES + 2 + TAG_BYTES || frame.len() > FRAME_BYTES_MAX {
            return None;
        }
        let (connection, kind, ..) = header(frame)?;
        let app = self.app_at(module, connection);
        let connection = self.apps[app].connections.get(usize::from(connection))?;
        if kind == FrameKind::Reply {
            let half = connection.into.as_ref()?;
            let routed = half.route.target == module && half.route.source != crate::Remote::Owner;
            routed.then_some(half.emit)
        } else {
            let half = connection.out.as_ref()?;
            (half.route.source == module).then_some(half.emit)
        }
    }

    /// Hands a reply frame to the owner who waits for it, or keeps it for when he asks again.
    fn direct_reply(&mut self, module: ModuleIndex, frame: &[u8]) -> bool {
        let Some((connection, FrameKind::Reply, epoch, counter)) = header(frame) else { return false };
        let app = self.app_at(module, connection);
        let state = &mut self.modules[module];
        let half = self.apps[app].connections.get_mut(usize::from(connection)).and_then(|c| c.into.as_mut());
        let pinned = half.filter(|half| half.route.target == module && half.route.source == crate::Remote::Owner);
        let key = (connection, epoch, counter);
        let waiting = state.waits.iter().position(|wait| wait.key == key);
        let known = waiting.is_some() || pinned.is_some();
        if let Some(half) = pinned {
            half.last_reply.clear();
            half.last_reply.extend_from_slice(frame);
        }
        if let Some(place) = waiting {
            let wait = state.waits.swap_remove(place);
            let outcome = Outcome::Entered { status: Status::Accepted, value: 0, reply: frame.to_vec() };
            self.actions.push_back(Action::Answer { token: wait.token, outcome });
        } else if known {
            state.figures.unclaimed += 1;
        }
        known
    }

    fn answered(
        &mut self, now: Time, module: ModuleIndex, call: u64, result: EntryResult, reply: &[u8],
    ) -> Result<(), BrokenModule> {
        let state = &mut self.modules[module];
        if call < state.first_call || call >= state.next_call {
            // A call of an earlier daemon: nobody here waits for it.
            return Ok(());
        }
        if call != state.first_call {
            return Err(BrokenModule::OutOfOrder);
        }
        state.first_call += 1;
        let origin = state.calls.pop_front().expect("one origin for each call in flight");
        let accepted = result.status == Status::Accepted;
        if accepted && !state.patient.is_empty() {
            self.wake_patient(module);
        }
        match origin {
            Origin::Lane { lane, session } => {
                if self.lanes.get(lane).is_some_and(|lane| lane.session == session) {
                    self.verdict(now, lane, result.status, result.value);
                }
            }
            Origin::Enter { token } => {
                let outcome = Outcome::Entered { status: result.status, value: result.value, reply: reply.to_vec() };
                self.actions.push_back(Action::Answer { token, outcome });
            }
            Origin::Direct(direct) => self.direct_verdict(now, module, *direct, result),
            Origin::Timer(timer) => {
                if let Some(timer) = self.timers.get_mut(timer) {
                    timer.entered = false;
                }
            }
            Origin::Late { app, connection } => self.late_answered(now, app, connection, accepted),
        }
        Ok(())
    }

    fn direct_verdict(&mut self, now: Time, module: ModuleIndex, direct: Direct, result: EntryResult) {
        self.count_direct(module, direct.key.0, result.status);
        let mut reply = Vec::new();
        let settled = matches!(result.status, Status::Accepted | Status::Duplicate);
        if let Some(reply_by) = direct.reply_by
            && settled
        {
            match self.last_reply(module, direct.key) {
                Some(frame) => reply = frame,
                None => {
                    self.modules[module].waits.push(direct);
                    self.alarms.set(reply_by.max(now), crate::alarm::Alarm::Waits(module));
                    return;
                }
            }
        }
        let outcome = Outcome::Entered { status: result.status, value: result.value, reply };
        self.actions.push_back(Action::Answer { token: direct.token, outcome });
    }

    /// Counts what came of a frame that its owner brought: it is in no lane, so it is counted where its route's events would be.
    fn count_direct(&mut self, module: ModuleIndex, connection: u16, status: Status) {
        let connections = &self.apps[self.app_at(module, connection)].connections;
        let half = connections.get(usize::from(connection)).and_then(|connection| connection.into.as_ref());
        let Some(lane) = half.map(|half| half.accept) else { return };
        let figures = &mut self.lanes[lane].figures;
        figures.frames += 1;
        figures.count(status);
    }

    /// The reply to a direct request, when the module gave it already.
    fn last_reply(&self, module: ModuleIndex, key: (u16, u32, u64)) -> Option<Vec<u8>> {
        let app = self.app_at(module, key.0);
        let half = self.apps[app].connections.get(usize::from(key.0))?.into.as_ref()?;
        let (connection, _, epoch, counter) = header(&half.last_reply)?;
        ((connection, epoch, counter) == key).then(|| half.last_reply.clone())
    }

    /// Tries lanes again that the module turned away: it has finished another activation.
    fn wake_patient(&mut self, module: ModuleIndex) {
        for _ in 0..PATIENT_WAKES {
            let Some(lane) = self.modules[module].patient.pop_front() else { return };
            let Some(state) = self.lanes.get_mut(lane) else { continue };
            state.patient = false;
            let here = matches!(state.to, crate::lane::To::Module { module: to, .. } if to == module);
            if here && state.paused {
                state.start_round();
                self.list(lane);
            }
        }
    }

    /// Notes one more frame that holds an output.
    fn hold(&mut self, module: ModuleIndex, output: u32) {
        let state = &mut self.modules[module];
        let place = output.wrapping_sub(state.outputs_first) as usize;
        if let Some((_, held)) = state.outputs.get_mut(place) {
            *held += 1;
        }
    }

    /// Notes that a frame does not hold its output any more; frees the channel as far as possible.
    pub(crate) fn unhold(&mut self, module: ModuleIndex, output: u32) {
        let state = &mut self.modules[module];
        let place = output.wrapping_sub(state.outputs_first) as usize;
        let Some((_, held)) = state.outputs.get_mut(place) else { return };
        *held -= 1;
        if place != 0 || *held != 0 {
            return;
        }
        while let Some((position, 0)) = state.outputs.front() {
            state.release = Some(*position);
            state.outputs.pop_front();
            state.outputs_first = state.outputs_first.wrapping_add(1);
        }
        if !state.release_listed {
            state.release_listed = true;
            self.releases.push(module);
        }
    }
}

/// Connection, kind, epoch and counter of a frame. Untrusted.
pub(crate) fn header(frame: &[u8]) -> Option<(u16, FrameKind, u32, u64)> {
    let header: &[u8; FRAME_HEADER_BYTES] = frame.first_chunk()?;
    let [c0, c1, k0, k1, e0, e1, e2, e3, counter @ ..] = *header;
    let kind = FrameKind::try_from(u16::from_le_bytes([k0, k1])).ok()?;
    let epoch = u32::from_le_bytes([e0, e1, e2, e3]);
    Some((u16::from_le_bytes([c0, c1]), kind, epoch, u64::from_le_bytes(counter)))
}

/// What a queued frame costs besides its bytes.
pub(crate) const META_BYTES: u64 = size_of::<Meta>() as u64;
/// Lanes that one activation of a module wakes.
const PATIENT_WAKES: usize = 4;
