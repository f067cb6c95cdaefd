//! One direction of one half of a connection: frames in order, a destination, verdicts.
//!
//! Frames go out in *rounds*: in order, pipelined, each answered by one verdict in the same order. A verdict that asks for
//! patience (`busy`, `gap`) ends the round: nothing more goes out until everything outstanding is answered, then, after a
//! pause, a new round starts at the oldest frame that has no final verdict, first with that frame alone. The pause is
//! short and doubles.

use crate::index::{AppIndex, LinkIndex, ModuleIndex, Time};
use crate::queue::{Cursor, FrameQueue, Meta};
use veritee_ids::Status;

/// Where a lane's frames come from, and so who wants to know of their fate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum From {
    /// Emitted by a module of this node: the outbox.
    Module(ModuleIndex),
    /// Arrived from another node, which is told the verdicts.
    Link,
}

/// Where a lane's frames go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum To {
    /// Nowhere yet: the other half of the route, or its link, is missing.
    Nowhere,
    /// Into a module of this node.
    Module { module: ModuleIndex, row: u16 },
    /// To another node.
    Link { link: LinkIndex, channel: u32 },
}

/// Counts of a lane, since its route was set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LaneFigures {
    /// Frames that came in.
    pub frames: u64,
    /// Verdicts `accepted`.
    pub accepted: u64,
    /// Verdicts `duplicate`.
    pub duplicates: u64,
    /// Verdicts `gap`.
    pub gaps: u64,
    /// Verdicts `busy` (and of other transient kinds).
    pub busy: u64,
    /// Verdicts `refused`.
    pub refused: u64,
    /// Frames given up for good.
    pub dropped: u64,
    /// Frames sent again.
    pub resent: u64,
}

impl LaneFigures {
    /// Counts a verdict.
    pub(crate) const fn count(&mut self, status: Status) {
        let count = match status {
            Status::Accepted => &mut self.accepted,
            Status::Duplicate => &mut self.duplicates,
            Status::Refused | Status::Malformed => &mut self.refused,
            Status::Gap => &mut self.gaps,
            Status::Busy | Status::NoRoom | Status::Halted => &mut self.busy,
        };
        *count += 1;
    }
}

/// A refused frame, set aside so that newer epochs are not held up by it.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) frame: Box<[u8]>,
    pub(crate) meta: Meta,
}

/// Verdicts in a row that are the same, to be told to the sender's node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct VerdictRun {
    pub(crate) status: Status,
    pub(crate) count: u32,
    pub(crate) value: u64,
}

/// What becomes of a frame after a verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It has its final verdict.
    Settled,
    /// It is set aside.
    Parked,
    /// It goes out again.
    Again,
}

/// A lane.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) app: AppIndex,
    pub(crate) connection: u16,
    pub(crate) from: From,
    pub(crate) to: To,
    /// It carries replies, against the direction of its connection.
    pub(crate) backward: bool,
    /// The link and channel on which its frames arrive, for a lane from another node.
    pub(crate) source: Option<(LinkIndex, u32)>,
    pub(crate) queue: FrameQueue,
    /// The next frame to go out.
    pub(crate) sent: Cursor,
    /// The next frame to be answered.
    pub(crate) answered: Cursor,
    /// Highest frame number that ever went out: below it is sent again.
    pub(crate) sent_max: u64,
    /// The next frame to be considered for the disk.
    pub(crate) stored: Cursor,
    /// Frames below are old enough for the disk.
    pub(crate) mature: u64,
    /// Frames below are durable or settled (used when forwarding waits for the disk).
    pub(crate) durable: u64,
    /// Verdicts of an older session mean nothing for positions.
    pub(crate) session: u32,
    /// A verdict of this round asked for patience.
    pub(crate) failed: bool,
    /// One frame at a time until one gets through.
    pub(crate) probe: bool,
    /// It waits for its pause to end.
    pub(crate) paused: bool,
    /// It is in its module's list of those that were turned away.
    pub(crate) patient: bool,
    /// Length of the next pause.
    pub(crate) pause: u32,
    /// It is in the list of those that have something to send.
    pub(crate) listed: bool,
    /// It is in the list of those that have something to store.
    pub(crate) unstored_listed: bool,
    /// It is in its link's list of those that have verdicts to tell.
    pub(crate) verdicts_listed: bool,
    /// Arriving frames are turned away (`busy`) until the sender starts a new round.
    pub(crate) shedding: bool,
    /// A new round starts with the next frame.
    pub(crate) first: bool,
    pub(crate) parked: Vec<Parked>,
    pub(crate) verdicts: Vec<VerdictRun>,
    pub(crate) accepted_at: Time,
    /// `late` was entered since the last accepted event.
    pub(crate) late: bool,
    pub(crate) figures: LaneFigures,
}

impl Lane {
    pub(crate) fn new(app: AppIndex, connection: u16, from: From, backward: bool) -> Self {
        Self {
            app,
            connection,
            from,
            to: To::Nowhere,
            backward,
            source: None,
            queue: FrameQueue::default(),
            sent: Cursor::default(),
            answered: Cursor::default(),
            sent_max: 0,
            stored: Cursor::default(),
            mature: 0,
            durable: 0,
            session: 0,
            failed: false,
            probe: false,
            paused: false,
            patient: false,
            pause: PAUSE_MIN,
            listed: false,
            unstored_listed: false,
            verdicts_listed: false,
            shedding: false,
            first: true,
            parked: Vec::new(),
            verdicts: Vec::new(),
            accepted_at: Time::default(),
            late: false,
            figures: LaneFigures::default(),
        }
    }

    /// Frames without a final verdict.
    pub(crate) fn waiting(&self) -> u64 {
        self.queue.metas().filter(|meta| meta.done.is_none()).count() as u64 + self.parked.len() as u64
    }

    /// Of those, how many are durable.
    pub(crate) fn stored_count(&self) -> u64 {
        let queued = self.queue.metas().filter(|meta| meta.done.is_none() && meta.segment != 0).count();
        queued as u64 + self.parked.iter().filter(|parked| parked.meta.segment != 0).count() as u64
    }

    /// Starts over with a new session: whatever was outstanding will not be answered.
    pub(crate) fn rewind(&mut self) {
        self.session = self.session.wrapping_add(1);
        self.start_round();
        self.probe = false;
        self.pause = PAUSE_MIN;
    }

    /// Starts a new round at the oldest frame.
    pub(crate) fn start_round(&mut self) {
        self.sent = self.queue.front();
        self.answered = self.sent;
        self.failed = false;
        self.paused = false;
        self.first = true;
    }

    /// True when everything that went out in this round is answered.
    pub(crate) fn is_answered(&mut self) -> bool {
        self.skip_done();
        self.answered.frame >= self.sent.frame
    }

    /// Moves the cursor of answers over frames that did not go out in this round.
    pub(crate) fn skip_done(&mut self) {
        let front = self.queue.front();
        if self.answered.frame < front.frame {
            self.answered = front;
        }
        while self.answered.frame < self.sent.frame {
            match self.queue.meta(self.answered.frame) {
                Some(meta) if meta.done.is_some() => advance(&mut self.answered, meta.length),
                _ => break,
            }
        }
    }

    /// The next frame of this round, if one may go out now. `window` bounds the bytes that are not answered.
    pub(crate) fn next(&mut self, window: u64, wait_for_disk: bool) -> Option<Cursor> {
        if self.failed || self.paused {
            return None;
        }
        let front = self.queue.front();
        if self.sent.frame < front.frame {
            self.sent = front;
        }
        self.skip_done();
        while self.queue.meta(self.sent.frame)?.done.is_some() {
            let length = self.queue.meta(self.sent.frame)?.length;
            advance(&mut self.sent, length);
        }
        let outstanding = self.sent.byte - self.answered.byte;
        let held = (self.probe && !self.is_answered())
            || outstanding >= window
            || (wait_for_disk && self.sent.frame >= self.durable);
        (!held).then_some(self.sent)
    }

    /// Notes that the frame at `sent` went out.
    pub(crate) fn went_out(&mut self, length: u32) {
        if self.sent.frame < self.sent_max {
            self.figures.resent += 1;
        } else {
            self.sent_max = self.sent.frame + 1;
        }
        advance(&mut self.sent, length);
        self.first = false;
    }

    /// Judges a verdict of this lane.
    pub(crate) fn fate(&mut self, status: Status) -> Fate {
        self.figures.count(status);
        match status {
            Status::Accepted | Status::Duplicate => Fate::Settled,
            Status::Refused | Status::Malformed => {
                if self.from == From::Link {
                    Fate::Settled
                } else {
                    Fate::Parked
                }
            }
            // A gap behind a frame that this node itself must bring again is no news for the sender.
            Status::Gap if self.from == From::Link && !self.failed => Fate::Settled,
            Status::Gap | Status::Busy | Status::NoRoom | Status::Halted => Fate::Again,
        }
    }

    /// Notes a verdict for the sender's node.
    pub(crate) fn tell(&mut self, status: Status, value: u64) {
        if let Some(last) = self.verdicts.last_mut()
            && last.status == status
            && last.value == value
            && last.count < u32::MAX
        {
            last.count += 1;
            return;
        }
        self.verdicts.push(VerdictRun { status, count: 1, value });
    }

    /// The pause before the next round; the one after will be twice as long.
    pub(crate) fn take_pause(&mut self) -> u64 {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        u64::from(pause)
    }
}

pub(crate) fn advance(cursor: &mut Cursor, length: u32) {
    cursor.frame += 1;
    cursor.byte += u64::from(length);
}

/// First pause between two rounds, in microseconds.
pub(crate) const PAUSE_MIN: u32 = 1_000;
/// Longest pause between two rounds, in microseconds.
const PAUSE_MAX: u32 = 200_000;
