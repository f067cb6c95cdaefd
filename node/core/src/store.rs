//! What goes to the disk: frames that got no verdict in time, in batches, into segments.

use crate::emit::header;
use crate::index::{AppIndex, LaneIndex, Time};
use crate::lane::{From, advance};
use crate::queue::{FrameQueue, Meta, PREFIX_BYTES};
use crate::record;
use crate::router::Router;
use std::collections::VecDeque;
use veritee_ids::FrameKind;

/// Frames of one lane in the batch that is being written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    lane: LaneIndex,
    from: u64,
    to: u64,
}

impl Stretch {
    pub(crate) fn is_of(&self, lane: LaneIndex) -> bool {
        self.lane == lane
    }
}

/// How many frames without verdict each segment of the outbox holds.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    first: u32,
    live: VecDeque<u64>,
}

impl Segments {
    pub(crate) fn settled(&mut self, segment: u32) {
        if let Some(live) = self.live_mut(segment) {
            *live -= 1;
        }
    }

    fn add(&mut self, segment: u32) {
        if self.live.is_empty() {
            self.first = segment;
        }
        while u64::from(self.first) + self.live.len() as u64 <= u64::from(segment) {
            self.live.push_back(0);
        }
        *self.live_mut(segment).expect("segments come in order") += 1;
    }

    /// How many segments there are, and the oldest of them.
    fn oldest(&self) -> Option<(u32, usize)> {
        (!self.live.is_empty()).then_some((self.first, self.live.len()))
    }

    fn live_mut(&mut self, segment: u32) -> Option<&mut u64> {
        let place = usize::try_from(segment.checked_sub(self.first)?).ok()?;
        self.live.get_mut(place)
    }
}

impl Router {
    pub(crate) fn want_store(&mut self, now: Time) {
        if self.store_at.is_none() && !self.unstored.is_empty() {
            let delay = if self.limits.wait_for_disk { 0 } else { self.limits.store_delay };
            self.store_at = Some(now.after(delay));
        }
    }

    pub(crate) fn store_wake(&self) -> Option<Time> {
        if self.is_storing() { None } else { self.store_at }
    }

    /// Makes the next call of [`fill_store`](Self::fill_store) take everything (a graceful stop).
    pub fn store_now(&mut self, now: Time) {
        for lane in self.unstored.clone() {
            self.lanes[lane].mature = u64::MAX;
        }
        self.store_at = Some(now);
    }

    /// True while frames are in no segment yet.
    #[must_use]
    pub fn has_unstored(&self) -> bool {
        !self.unstored.is_empty() || self.is_storing()
    }

    fn is_storing(&self) -> bool {
        !self.batch.is_empty() || self.moved.is_some()
    }

    /// The oldest segment in which something waits, and how many segments there are.
    #[must_use]
    pub fn oldest_segment(&self) -> Option<(u32, usize)> {
        self.segments.oldest()
    }

    /// Appends records for the outbox segment `to` to `bytes`: the frames that wait in segment `from`, so that it can be
    /// deleted. For a few frames that wait long, whole segments would stay. As with [`fill_store`](Self::fill_store),
    /// [`stored`](Self::stored) must be called once they are durable.
    ///
    /// # Panics
    /// Never: frames that are looked at are there.
    pub fn move_segment(&mut self, from: u32, to: u32, bytes: &mut Vec<u8>) -> u64 {
        if self.is_storing() || from >= to {
            return 0;
        }
        let mut moved = 0;
        for index in self.lanes.indices() {
            let lane = &mut self.lanes[index];
            let number = self.apps[lane.app].number;
            let mut at = lane.queue.front();
            while let Some((frame, meta)) = lane.queue.frame(at) {
                if meta.segment == from && meta.done.is_none() {
                    record::put(bytes, number, frame);
                    lane.queue.meta_mut(at.frame).expect("the frame was just seen").segment = to;
                    self.segments.add(to);
                    moved += 1;
                }
                advance(&mut at, meta.length);
            }
            for parked in lane.parked.iter_mut().filter(|parked| parked.meta.segment == from) {
                record::put(bytes, number, &parked.frame);
                parked.meta.segment = to;
                self.segments.add(to);
                moved += 1;
            }
        }
        self.moved = (moved > 0).then_some((from, moved));
        moved
    }

    /// Appends records for the outbox `segment` to `bytes`: frames that have waited long enough for a verdict. Gives the
    /// number of records; unless it is 0, [`stored`](Self::stored) must be called once they are durable, and nothing is
    /// given before that. Segments must come in ascending order, from 1.
    pub fn fill_store(&mut self, now: Time, segment: u32, bytes: &mut Vec<u8>, bytes_max: usize) -> usize {
        if self.is_storing() || self.store_at.is_none_or(|at| at > now) {
            return 0;
        }
        self.store_at = None;
        let mut records = 0;
        for index in core::mem::take(&mut self.unstored) {
            if bytes.len() < bytes_max {
                records += self.store_lane(index, segment, bytes, bytes_max);
            }
            let wait_for_disk = self.limits.wait_for_disk;
            let lane = &mut self.lanes[index];
            if lane.mature != u64::MAX || lane.stored.frame >= lane.queue.end() {
                lane.mature = if wait_for_disk { u64::MAX } else { lane.queue.end() };
            }
            lane.unstored_listed = lane.stored.frame < lane.queue.end();
            if lane.unstored_listed {
                self.unstored.push(index);
            }
        }
        if self.batch.is_empty() {
            // Nothing had to be written; frames that were too young are looked at again.
            self.want_store(now);
        }
        records
    }

    fn store_lane(&mut self, index: LaneIndex, segment: u32, bytes: &mut Vec<u8>, bytes_max: usize) -> usize {
        let lane = &mut self.lanes[index];
        let app = &self.apps[lane.app];
        let owner = &mut self.owners[app.owner];
        if lane.stored.frame < lane.queue.front().frame {
            lane.stored = lane.queue.front();
        }
        let from = lane.stored.frame;
        let mature = if self.limits.wait_for_disk { u64::MAX } else { lane.mature };
        let mut records = 0;
        while lane.stored.frame < mature && bytes.len() < bytes_max {
            let Some((frame, meta)) = lane.queue.frame(lane.stored) else { break };
            if meta.done.is_none() && meta.segment == 0 {
                record::put(bytes, app.number, frame);
                owner.stored += u64::from(meta.length);
                self.segments.add(segment);
                lane.queue.meta_mut(lane.stored.frame).expect("the frame was just seen").segment = segment;
                records += 1;
            }
            advance(&mut lane.stored, meta.length);
        }
        if records > 0 {
            self.batch.push(Stretch { lane: index, from, to: lane.stored.frame });
        } else {
            lane.durable = lane.durable.max(lane.stored.frame);
        }
        records
    }

    /// The batch is durable.
    pub fn stored(&mut self, now: Time) {
        if let Some((from, moved)) = self.moved.take() {
            (0..moved).for_each(|_| self.segments.settled(from));
        }
        for Stretch { lane, from, to } in core::mem::take(&mut self.batch) {
            for frame in from..to {
                self.release(lane, frame);
            }
            let state = &mut self.lanes[lane];
            state.durable = state.durable.max(to);
            if !state.listed {
                self.list(lane);
            }
        }
        self.want_store(now);
    }

    /// Takes the next segment in which nothing waits any more, if it is older than `current`: its file can be deleted.
    pub fn take_dead_segment(&mut self, current: u32) -> Option<u32> {
        let segments = &mut self.segments;
        if segments.first >= current || !self.batch.is_empty() || self.moved.is_some() {
            return None;
        }
        if *segments.live.front()? != 0 {
            return None;
        }
        segments.live.pop_front();
        segments.first += 1;
        Some(segments.first - 1)
    }

    /// Takes a frame that an earlier daemon stored. False when no route names it any more: it is dropped.
    /// Call [`replayed`](Self::replayed) after the last one.
    pub fn replay(&mut self, app: AppIndex, segment: u32, frame: &[u8]) -> bool {
        let lane = self.apps.get(app).and_then(|app| {
            let (connection, kind, ..) = header(frame)?;
            let connection = app.connections.get(usize::from(connection))?;
            if kind == FrameKind::Reply {
                connection.into.as_ref().map(|half| half.emit)
            } else {
                connection.out.as_ref().map(|half| half.emit)
            }
        });
        let Some(lane) = lane else {
            self.unrouted += 1;
            return false;
        };
        let Ok(length) = u32::try_from(frame.len() + PREFIX_BYTES) else { return false };
        let owner = self.apps[app].owner;
        self.owners[owner].stored += u64::from(length);
        self.segments.add(segment);
        self.push_emitted(lane, frame, Meta { length, segment, output: 0, released: true, done: None });
        true
    }

    /// All stored frames were replayed: puts each connection in order, once each.
    pub fn replayed(&mut self) {
        for index in self.lanes.indices() {
            if self.lanes[index].from != From::Link && !self.lanes[index].queue.is_empty() {
                self.sort_lane(index);
                self.list(index);
            }
        }
    }

    fn sort_lane(&mut self, index: LaneIndex) {
        let queue = &mut self.lanes[index].queue;
        let mut frames = Vec::with_capacity(queue.len());
        let mut at = queue.front();
        while let Some((frame, meta)) = queue.frame(at) {
            let order = header(frame).map_or((u32::MAX, u64::MAX), |(_, _, epoch, counter)| (epoch, counter));
            frames.push((order, frame.to_vec(), meta));
            advance(&mut at, meta.length);
        }
        frames.sort_by_key(|(order, ..)| *order);
        let mut sorted = FrameQueue::default();
        let mut last = None;
        let mut twice = Vec::new();
        for (order, frame, meta) in frames {
            if last == Some(order) {
                twice.push(meta);
            } else {
                sorted.push(&frame, meta);
            }
            last = Some(order);
        }
        let lane = &mut self.lanes[index];
        lane.queue = sorted;
        lane.rewind();
        lane.sent_max = 0;
        lane.stored = at_end(&lane.queue);
        lane.durable = lane.stored.frame;
        for meta in twice {
            self.free(index, meta);
        }
    }
}

fn at_end(queue: &FrameQueue) -> crate::queue::Cursor {
    let front = queue.front();
    crate::queue::Cursor { frame: queue.end(), byte: front.byte + queue.bytes_len() as u64 }
}
