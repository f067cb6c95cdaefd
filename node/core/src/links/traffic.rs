//! Frames and verdicts on a link: what arrives goes into lanes, what lanes have goes out.

use super::Theirs;
use crate::alarm::Alarm;
use crate::emit::META_BYTES;
use crate::index::{LaneIndex, LinkIndex, Time};
use crate::lane::To;
use crate::links::LinkFault;
use crate::message::{self, FRONT_BYTES, Kind};
use crate::queue::{Meta, PREFIX_BYTES};
use crate::router::Router;
use veritee_ids::Status;
use veritee_ids::limits::{FRAME_HEADER_BYTES, TAG_BYTES};

impl Router {
    /// A frame along a connection arrived.
    pub(super) fn arrived(
        &mut self, now: Time, link: LinkIndex, channel: u32, whole: &[u8], first: bool,
    ) -> Result<(), LinkFault> {
        match self.links[link].theirs.get(channel as usize) {
            Some(Theirs::Bound(app, connection)) => {
                let connection = &self.apps[*app].connections[usize::from(*connection)];
                let lane = connection.into.as_ref().expect("a bound channel has its route").accept;
                self.take_arrived(now, lane, whole, first)
            }
            // The route went while the frame was on its way: the source's node will hear of it.
            Some(_) => Ok(()),
            None => Err(LinkFault::Protocol("a frame on no channel")),
        }
    }

    /// A frame against a connection arrived.
    pub(super) fn replied(
        &mut self, now: Time, link: LinkIndex, channel: u32, whole: &[u8], first: bool,
    ) -> Result<(), LinkFault> {
        match self.links[link].ours.get(channel as usize) {
            Some(Some((app, connection))) => {
                let connection = &self.apps[*app].connections[usize::from(*connection)];
                let lane = connection.out.as_ref().expect("a channel in use has its route").accept;
                self.take_arrived(now, lane, whole, first)
            }
            Some(None) => Ok(()),
            None => Err(LinkFault::Protocol("a reply on no channel")),
        }
    }

    fn take_arrived(&mut self, now: Time, index: LaneIndex, whole: &[u8], first: bool) -> Result<(), LinkFault> {
        if whole.len() < FRONT_BYTES + FRAME_HEADER_BYTES + 2 + TAG_BYTES {
            return Err(LinkFault::Malformed);
        }
        let lane = &mut self.lanes[index];
        let owner = &mut self.owners[self.apps[lane.app].owner];
        lane.figures.frames += 1;
        let full = lane.queue.bytes_len() as u64 > 4 * self.limits.window_bytes
            || owner.arrived > self.limits.owner_arrived_bytes_max;
        lane.shedding = if first { full } else { lane.shedding || full };
        if lane.shedding {
            if lane.queue.len() > SHED_FRAMES_MAX {
                return Err(LinkFault::Protocol("more frames than a window holds"));
            }
            let length = u32::try_from(PREFIX_BYTES).expect("8");
            owner.arrived += u64::from(length) + META_BYTES;
            lane.figures.busy += 1;
            let done = Some(Status::Busy);
            lane.queue.push(&[], Meta { length, segment: 0, output: 0, released: true, done });
            self.pop_done(now, index, 0);
            return Ok(());
        }
        let length = u32::try_from(whole.len()).expect("messages are short");
        owner.arrived += u64::from(length) + META_BYTES;
        lane.queue.push_record(whole, Meta { length, segment: 0, output: 0, released: true, done: None });
        if !lane.listed {
            self.list(index);
        }
        Ok(())
    }

    pub(super) fn verdicts_arrived(
        &mut self, now: Time, link: LinkIndex, channel: u32, body: &[u8], backward: bool,
    ) -> Result<(), LinkFault> {
        let run = message::verdicts(body).ok_or(LinkFault::Malformed)?;
        let state = &self.links[link];
        let place = channel as usize;
        let lane = if backward {
            match state.theirs.get(place) {
                Some(Theirs::Bound(app, connection)) => {
                    self.apps[*app].connections[usize::from(*connection)].into.as_ref().map(|half| half.emit)
                }
                Some(_) => return Ok(()),
                None => None,
            }
        } else {
            match state.ours.get(place) {
                Some(Some((app, connection))) => {
                    self.apps[*app].connections[usize::from(*connection)].out.as_ref().map(|half| half.emit)
                }
                Some(None) => return Ok(()),
                None => None,
            }
        };
        let lane = lane.ok_or(LinkFault::Protocol("a verdict on no channel"))?;
        if self.lanes[lane].to != (To::Link { link, channel }) {
            return Err(LinkFault::Protocol("a verdict without a frame"));
        }
        for _ in 0..run.count {
            if !self.verdict(now, lane, run.status, run.value) {
                return Err(LinkFault::Protocol("a verdict without a frame"));
            }
        }
        Ok(())
    }

    /// Notes that a lane has verdicts for the other node. They wait a moment for company.
    pub(crate) fn note_verdicts(&mut self, now: Time, index: LaneIndex, count: u32) {
        let lane = &mut self.lanes[index];
        let Some((link, _)) = lane.source else {
            lane.verdicts.clear();
            return;
        };
        let state = &mut self.links[link];
        if !lane.verdicts_listed {
            lane.verdicts_listed = true;
            state.verdicts.push(index);
        }
        state.verdict_count += count;
        if state.verdict_count >= VERDICTS_MAX {
            self.make_writable(link);
        } else if !state.verdicts_due {
            state.verdicts_due = true;
            self.alarms.set(now.after(self.limits.verdict_delay), Alarm::Verdicts(link));
        }
    }

    pub(crate) fn verdicts_due(&mut self, link: LinkIndex) {
        if let Some(state) = self.links.get_mut(link) {
            state.verdicts_due = false;
            if state.verdict_count > 0 {
                self.make_writable(link);
            }
        }
    }

    /// Queues a `ping`, so that the other node shows that it lives.
    pub fn ping(&mut self, link: LinkIndex) {
        if let Some(state) = self.links.get_mut(link) {
            message::put(&mut state.control, Kind::Ping, 0, &[]);
            self.make_writable(link);
        }
    }

    /// Appends what a link has to send, until `out` is `bytes_max` long or nothing is left. What is over is listed again.
    pub fn fill_link(&mut self, link: LinkIndex, out: &mut Vec<u8>, bytes_max: usize) {
        let Some(state) = self.links.get_mut(link) else { return };
        out.append(&mut state.control);
        if state.life.is_none() {
            return;
        }
        self.fill_verdicts(link, out);
        while out.len() < bytes_max {
            let Some(index) = self.links[link].ready.pop_front() else { return };
            self.fill_lane(index, out, bytes_max);
        }
        if !self.links[link].ready.is_empty() {
            self.make_writable(link);
        }
    }

    fn fill_verdicts(&mut self, link: LinkIndex, out: &mut Vec<u8>) {
        let state = &mut self.links[link];
        state.verdict_count = 0;
        let mut listed = core::mem::take(&mut state.verdicts);
        for index in listed.drain(..) {
            let Some(lane) = self.lanes.get_mut(index) else { continue };
            lane.verdicts_listed = false;
            let Some((on, channel)) = lane.source else { continue };
            if on != link {
                // It moved to another link with verdicts of this one: they mean nothing there.
                continue;
            }
            let kind = if lane.backward { Kind::ReplyVerdict } else { Kind::EventVerdict };
            for run in lane.verdicts.drain(..) {
                message::put_verdicts(out, kind, channel, run);
            }
        }
        self.links[link].verdicts = listed;
    }

    /// Gives a lane its turn on its link.
    fn fill_lane(&mut self, index: LaneIndex, out: &mut Vec<u8>, bytes_max: usize) {
        let lane = &mut self.lanes[index];
        let To::Link { link, channel } = lane.to else { unreachable!("listed lanes lead to their link") };
        let (kind, kind_first) =
            if lane.backward { (Kind::Reply, Kind::ReplyFirst) } else { (Kind::Event, Kind::EventFirst) };
        let turn = bytes_max.min(out.len() + TURN_BYTES);
        while out.len() < turn {
            let Some(cursor) = lane.next(self.limits.window_bytes, self.limits.wait_for_disk) else {
                lane.listed = false;
                return;
            };
            let kind = if lane.first { kind_first } else { kind };
            let (record, meta) = lane.queue.record_mut(cursor).expect("the cursor is at a frame");
            let front = message::front(kind, channel, record.len() - PREFIX_BYTES);
            record[..PREFIX_BYTES].copy_from_slice(&front);
            out.extend_from_slice(record);
            lane.went_out(meta.length);
        }
        self.links[link].ready.push_back(index);
    }
}

/// Verdicts that go out at once.
const VERDICTS_MAX: u32 = 256;
/// Frames of one lane that may wait although they are turned away.
const SHED_FRAMES_MAX: usize = 1 << 17;
/// Bytes of one lane before the next one has its turn.
const TURN_BYTES: usize = 16 * 1024;
