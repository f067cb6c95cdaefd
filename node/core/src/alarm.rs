//! Everything that waits: pauses, timers, deadlines, back-off, delayed verdicts.

use crate::deliver::{Entry, Origin, Queued};
use crate::index::{AppIndex, LaneIndex, LinkIndex, ModuleIndex, PeerIndex, Time, TimerIndex};
use crate::router::{Action, Outcome, Router, Timer};
use core::cmp::Reverse;
use std::collections::BinaryHeap;
use veritee_ids::Op;

/// What an alarm is about. Whoever is rung checks whether it still matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Alarm {
    /// A lane's pause is over.
    Lane(LaneIndex),
    /// A lane's refused frames are tried again.
    Parked(LaneIndex),
    /// A direct request's reply is overdue.
    Waits(ModuleIndex),
    /// A timer ticks.
    Timer(TimerIndex),
    /// A connection's deadline.
    Late(AppIndex, u16),
    /// A node is dialled again.
    Dial(PeerIndex),
    /// A link's verdicts have waited long enough.
    Verdicts(LinkIndex),
}

#[derive(Debug, Default)]
pub(crate) struct Alarms {
    heap: BinaryHeap<Reverse<(Time, Alarm)>>,
}

impl Alarms {
    pub(crate) fn set(&mut self, at: Time, alarm: Alarm) {
        self.heap.push(Reverse((at, alarm)));
    }

    fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    fn pop(&mut self, now: Time) -> Option<(Time, Alarm)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(due)| due)
    }
}

impl Router {
    /// When [`tick`](Self::tick) is to be called next.
    #[must_use]
    pub fn next_wake(&self) -> Option<Time> {
        match (self.alarms.next(), self.store_wake()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Time) {
        while let Some((at, alarm)) = self.alarms.pop(now) {
            match alarm {
                Alarm::Lane(lane) => self.end_pause(lane),
                Alarm::Parked(lane) => {
                    if self.lanes.get(lane).is_some_and(|lane| !lane.parked.is_empty()) {
                        self.unpark(lane);
                    }
                }
                Alarm::Waits(module) => self.end_waits(now, module),
                Alarm::Timer(timer) => self.tick_timer(now, at, timer),
                Alarm::Late(app, connection) => self.check_deadline(now, app, connection),
                Alarm::Dial(peer) => self.redial(peer),
                Alarm::Verdicts(link) => self.verdicts_due(link),
            }
        }
    }

    fn end_pause(&mut self, index: LaneIndex) {
        let Some(lane) = self.lanes.get_mut(index) else { return };
        if !lane.paused || !lane.is_answered() {
            return;
        }
        lane.start_round();
        self.list(index);
    }

    fn end_waits(&mut self, now: Time, module: ModuleIndex) {
        let Some(state) = self.modules.get_mut(module) else { return };
        let overdue = |by: Option<Time>| by.is_some_and(|by| by <= now);
        for wait in state.waits.extract_if(.., |wait| overdue(wait.reply_by)) {
            self.actions.push_back(Action::Answer { token: wait.token, outcome: Outcome::TimedOut });
        }
    }

    /// Sets a timer: it enters the port `entry` of a module each `period` microseconds.
    pub fn set_timer(&mut self, now: Time, module: ModuleIndex, entry: u16, period: u64) -> TimerIndex {
        let period = period.max(1);
        let due = now.after(period);
        let timer = Timer { module, entry, period, due, entered: false, figures: crate::TimerFigures::default() };
        let index = self.timers.insert(timer);
        self.alarms.set(due, Alarm::Timer(index));
        index
    }

    /// Ends a timer.
    pub fn remove_timer(&mut self, timer: TimerIndex) {
        self.timers.remove(timer);
    }

    fn tick_timer(&mut self, now: Time, at: Time, index: TimerIndex) {
        let Some(module) = self.timers.get(index).filter(|timer| timer.due == at).map(|timer| timer.module) else {
            return;
        };
        let ready = self.modules[module].alive && self.has_room(module);
        let timer = &mut self.timers[index];
        let enters = ready && !timer.entered;
        if enters {
            timer.entered = true;
            timer.figures.entered += 1;
        } else {
            timer.figures.missed += 1;
        }
        timer.due = timer.due.after(timer.period);
        if timer.due <= now {
            let behind = (now.0 - timer.due.0) / timer.period + 1;
            timer.figures.missed += behind;
            timer.due = timer.due.after(behind * timer.period);
        }
        self.alarms.set(timer.due, Alarm::Timer(index));
        let input = timer.entry.to_le_bytes().to_vec();
        if enters {
            self.queue_call(module, Queued { op: Entry(Op::Entry), input, origin: Origin::Timer(index) });
        }
    }

    fn check_deadline(&mut self, now: Time, app: AppIndex, connection: u16) {
        let Some(half) = self.target_half(app, connection) else { return };
        let (module, port, deadline) = (half.route.target, half.route.port, half.route.deadline);
        let Some(index) = self.arriving_lane(app, connection) else { return };
        let alive = self.modules[module].alive && self.has_room(module);
        let lane = &mut self.lanes[index];
        if deadline == 0 || lane.late {
            return;
        }
        let due = lane.accepted_at.after(deadline);
        if due > now || !alive {
            self.alarms.set(due.max(now.after(LATE_PAUSE)), Alarm::Late(app, connection));
            return;
        }
        lane.late = true;
        let input = port.to_le_bytes().to_vec();
        self.queue_call(module, Queued { op: Entry(Op::Late), input, origin: Origin::Late { app, connection } });
    }

    /// `late` came back: if the module did not take it now, it is entered again soon.
    pub(crate) fn late_answered(&mut self, now: Time, app: AppIndex, connection: u16, accepted: bool) {
        if accepted || self.apps.get(app).is_none() {
            return;
        }
        if let Some(lane) = self.arriving_lane(app, connection) {
            self.lanes[lane].late = false;
            self.alarms.set(now.after(LATE_PAUSE), Alarm::Late(app, connection));
        }
    }

    /// An event was accepted after `late`: the deadline runs again.
    pub(crate) fn rearm_late(&mut self, now: Time, index: LaneIndex) {
        let lane = &mut self.lanes[index];
        lane.late = false;
        let (app, connection) = (lane.app, lane.connection);
        if let Some(half) = self.target_half(app, connection) {
            let due = now.after(half.route.deadline);
            self.alarms.set(due, Alarm::Late(app, connection));
        }
    }

    fn target_half(&self, app: AppIndex, connection: u16) -> Option<&crate::router::InHalf> {
        self.apps.get(app)?.connections.get(usize::from(connection))?.into.as_deref()
    }
}

/// Pause before `late` is tried again, in microseconds.
const LATE_PAUSE: u64 = 10_000;
