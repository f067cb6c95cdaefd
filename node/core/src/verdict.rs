//! Verdicts: what becomes of a frame, who is told, what is freed.

use crate::alarm::Alarm;
use crate::emit::{META_BYTES, header};
use crate::index::{AppIndex, LaneIndex, Time};
use crate::lane::{Fate, From, Parked, To, advance};
use crate::queue::{Meta, PREFIX_BYTES};
use crate::router::Router;
use veritee_ids::Status;

impl Router {
    /// Applies the next verdict of a lane. False when no frame of it waits for one.
    pub(crate) fn verdict(&mut self, now: Time, index: LaneIndex, status: Status, value: u64) -> bool {
        let lane = &mut self.lanes[index];
        lane.skip_done();
        if lane.answered.frame >= lane.sent.frame {
            return false;
        }
        let at = lane.answered;
        let fate = lane.fate(status);
        let meta = lane.queue.meta_mut(at.frame).expect("an answered frame is in its queue");
        let length = meta.length;
        match fate {
            Fate::Again => lane.failed = true,
            Fate::Settled | Fate::Parked => {
                meta.done = Some(status);
                if status == Status::Accepted {
                    lane.accepted_at = now;
                }
                lane.probe = false;
                lane.pause = crate::lane::PAUSE_MIN;
            }
        }
        advance(&mut lane.answered, length);
        match fate {
            Fate::Settled => {
                if lane.late && status == Status::Accepted {
                    self.rearm_late(now, index);
                }
                self.release(index, at.frame);
                self.pop_done(now, index, value);
            }
            Fate::Parked => self.park(now, index, at),
            Fate::Again => {}
        }
        self.after_verdict(now, index);
        true
    }

    fn after_verdict(&mut self, now: Time, index: LaneIndex) {
        let lane = &mut self.lanes[index];
        if !lane.failed {
            if !lane.listed {
                self.list(index);
            }
            return;
        }
        if lane.paused || !lane.is_answered() {
            return;
        }
        lane.paused = true;
        lane.probe = true;
        let pause = lane.take_pause();
        if let To::Module { module, .. } = lane.to
            && !core::mem::replace(&mut lane.patient, true)
        {
            self.modules[module].patient.push_back(index);
        }
        self.alarms.set(now.after(pause), Alarm::Lane(index));
    }

    /// Lets the output go that a frame of the outbox came in: the frame is durable or settled.
    pub(crate) fn release(&mut self, index: LaneIndex, frame: u64) {
        let lane = &mut self.lanes[index];
        let From::Module(module) = lane.from else { return };
        let Some(meta) = lane.queue.meta_mut(frame) else { return };
        if !core::mem::replace(&mut meta.released, true) {
            let output = meta.output;
            self.unhold(module, output);
        }
    }

    /// Takes frames with a final verdict off the front of a lane.
    pub(crate) fn pop_done(&mut self, now: Time, index: LaneIndex, value: u64) {
        let mut told = 0;
        loop {
            let lane = &mut self.lanes[index];
            let front = lane.queue.front().frame;
            let Some(Meta { done: Some(status), .. }) = lane.queue.meta(front).copied() else { break };
            let meta = lane.queue.pop().expect("the front was just seen");
            if lane.from == From::Link {
                lane.tell(status, if status == Status::Gap { value } else { 0 });
                told += 1;
                let owner = self.apps[lane.app].owner;
                self.owners[owner].arrived -= u64::from(meta.length) + META_BYTES;
            } else {
                // A parked frame goes on living beside the queue.
                if status != Status::Refused {
                    self.free(index, meta);
                }
            }
        }
        if told > 0 {
            self.note_verdicts(now, index, told);
        }
    }

    /// Gives back what an emitted frame held: memory, and its place on disk.
    pub(crate) fn free(&mut self, index: LaneIndex, meta: Meta) {
        let From::Module(module) = self.lanes[index].from else { return };
        // A lent driver's frames are charged to the borrower.
        let owner = self.apps[self.lanes[index].app].owner;
        let had_room = self.has_room(module) && self.owner_has_room(owner);
        let state = &mut self.modules[module];
        let cost = u64::from(meta.length) + META_BYTES;
        state.memory -= cost;
        let own = state.owner;
        self.owners[owner].memory -= cost;
        if meta.segment != 0 {
            self.owners[owner].stored -= u64::from(meta.length);
            self.segments.settled(meta.segment);
        }
        if !had_room && self.owner_has_room(owner) {
            for other in self.modules.indices() {
                if [owner, own].contains(&self.modules[other].owner) {
                    self.make_runnable(other);
                }
            }
        }
    }

    /// Sets a refused frame aside, or drops it when its epoch is dead.
    fn park(&mut self, now: Time, index: LaneIndex, at: crate::queue::Cursor) {
        let dead = self.dead_epoch(index);
        let lane = &mut self.lanes[index];
        let (frame, meta) = lane.queue.frame(at).expect("an answered frame is in its queue");
        let epoch = header(frame).map_or(u32::MAX, |(_, _, epoch, _)| epoch);
        let frame: Box<[u8]> = frame.into();
        let marked = lane.queue.meta_mut(at.frame).expect("an answered frame is in its queue");
        marked.done = Some(Status::Refused);
        marked.released = true;
        lane.parked.push(Parked { frame, meta: Meta { done: None, ..meta } });
        let first = lane.parked.len() == 1;
        if epoch <= dead {
            self.drop_parked(index, dead);
        } else if first {
            self.alarms.set(now.after(PARKED_PAUSE), Alarm::Parked(index));
        }
        self.pop_done(now, index, 0);
    }

    pub(crate) fn dead_epoch(&self, index: LaneIndex) -> u32 {
        let lane = &self.lanes[index];
        let connections = &self.apps[lane.app].connections;
        connections.get(usize::from(lane.connection)).map_or(0, |connection| connection.dead_epoch)
    }

    /// Drops frames that were refused and whose epoch is dead.
    pub(crate) fn drop_parked(&mut self, index: LaneIndex, dead: u32) {
        let lane = &mut self.lanes[index];
        let From::Module(module) = lane.from else { return };
        let is_dead = |parked: &Parked| header(&parked.frame).is_none_or(|(_, _, epoch, _)| epoch <= dead);
        let (dropped, kept) = core::mem::take(&mut lane.parked).into_iter().partition(is_dead);
        lane.parked = kept;
        lane.figures.dropped += Vec::len(&dropped) as u64;
        for Parked { meta, .. } in dropped {
            if !meta.released {
                self.unhold(module, meta.output);
            }
            self.free(index, meta);
        }
    }

    /// Tries refused frames again, behind what waits: the receiver may have changed its mind.
    pub(crate) fn unpark(&mut self, index: LaneIndex) {
        let lane = &mut self.lanes[index];
        for Parked { frame, meta } in core::mem::take(&mut lane.parked) {
            debug_assert_eq!(meta.length as usize, frame.len() + PREFIX_BYTES, "metas keep their frame's length");
            lane.queue.push(&frame, meta);
        }
        if !lane.unstored_listed {
            lane.unstored_listed = true;
            self.unstored.push(index);
        }
        self.list(index);
    }

    /// Epochs of a connection up to this one are dead: refused frames of them are dropped and counted.
    pub fn epoch_dead(&mut self, app: AppIndex, connection: u16, epoch: u32) {
        let state = self.connection_mut(app, connection);
        state.dead_epoch = state.dead_epoch.max(epoch);
        let dead = state.dead_epoch;
        let lanes = [state.out.as_ref().map(|half| half.emit), state.into.as_ref().map(|half| half.emit)];
        for lane in lanes.into_iter().flatten() {
            self.drop_parked(lane, dead);
        }
    }
}

/// Pause before refused frames are tried again, in microseconds.
pub(crate) const PARKED_PAUSE: u64 = 1_000_000;
