//! Calls into modules: control first, then entries of owners and timers, then frames of all lanes in turn.

use crate::index::{AppIndex, LaneIndex, ModuleIndex, OwnerIndex, Time, TimerIndex};
use crate::lane::{From, To};
use crate::queue::PREFIX_BYTES;
use crate::router::{Action, EnterError, ModuleFigures, Outcome, Router};
use std::collections::VecDeque;
use veritee_ids::Op;
use veritee_ids::limits::FRAME_BYTES_MAX;
use veritee_wire::layout::Frame;

/// What a call is, as far as its order in the queue goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry(pub(crate) Op);

impl Entry {
    /// Control enters a module also when there is no room for what it may emit: it emits nothing.
    pub(crate) const fn is_control(self) -> bool {
        matches!(self.0, Op::Attest | Op::Open | Op::Control)
    }
}

/// A call that waits for its module.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) op: Entry,
    pub(crate) input: Vec<u8>,
    pub(crate) origin: Origin,
}

/// Who asked for a call.
#[derive(Debug)]
pub(crate) enum Origin {
    /// The next frame of a lane in this session.
    Lane { lane: LaneIndex, session: u32 },
    /// An owner.
    Enter { token: u64 },
    /// An owner with a frame of a direct connection.
    Direct(Box<Direct>),
    /// A timer.
    Timer(TimerIndex),
    /// A deadline.
    Late { app: AppIndex, connection: u16 },
}

/// A frame of a direct connection on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Direct {
    pub(crate) token: u64,
    pub(crate) key: (u16, u32, u64),
    pub(crate) reply_by: Option<Time>,
}

/// A module, running or not.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) app: AppIndex,
    pub(crate) owner: OwnerIndex,
    pub(crate) alive: bool,
    /// Its channel has no room; cleared by its next output.
    pub(crate) full: bool,
    pub(crate) runnable: bool,
    /// Calls that were entered, in order.
    pub(crate) calls: VecDeque<Origin>,
    /// Number of the oldest of them.
    pub(crate) first_call: u64,
    pub(crate) next_call: u64,
    pub(crate) control: VecDeque<Queued>,
    pub(crate) entries: VecDeque<Queued>,
    /// Lanes with frames for it.
    pub(crate) ready: VecDeque<LaneIndex>,
    /// Lanes that it turned away, to be tried again after its next activation.
    pub(crate) patient: VecDeque<LaneIndex>,
    /// Its outputs whose room is not free yet: position behind, and frames that hold it.
    pub(crate) outputs: VecDeque<(u64, u32)>,
    pub(crate) outputs_first: u32,
    pub(crate) release: Option<u64>,
    pub(crate) release_listed: bool,
    /// Bytes of frames that it emitted and that have no verdict.
    pub(crate) memory: u64,
    /// Direct requests that wait for their reply.
    pub(crate) waits: Vec<Direct>,
    pub(crate) figures: ModuleFigures,
}

impl Module {
    pub(crate) fn new(app: AppIndex, owner: OwnerIndex) -> Self {
        Self {
            app,
            owner,
            alive: false,
            full: false,
            runnable: false,
            calls: VecDeque::new(),
            first_call: 0,
            next_call: 0,
            control: VecDeque::new(),
            entries: VecDeque::new(),
            ready: VecDeque::new(),
            patient: VecDeque::new(),
            outputs: VecDeque::new(),
            outputs_first: 0,
            release: None,
            release_listed: false,
            memory: 0,
            waits: Vec::new(),
            figures: ModuleFigures::default(),
        }
    }
}

impl Router {
    /// A module runs. Calls are numbered from `first_call`, which no earlier daemon may have used for it.
    ///
    /// # Panics
    /// When `first_call` leaves no numbers below [`UNASKED`](veritee_host::UNASKED) for the calls of this daemon.
    pub fn module_up(&mut self, module: ModuleIndex, first_call: u64) {
        assert!(first_call <= CALL_FIRST_MAX, "calls of this daemon would run into the number of unasked outputs");
        let state = &mut self.modules[module];
        state.alive = true;
        state.full = false;
        state.first_call = first_call;
        state.next_call = first_call;
        self.restart_lanes_to(module);
        self.make_runnable(module);
    }

    /// A module has ended, after all of its outputs were taken. Calls in flight are answered; frames to it wait.
    pub fn module_down(&mut self, module: ModuleIndex) {
        let state = &mut self.modules[module];
        state.alive = false;
        state.outputs.clear();
        state.release = None;
        let calls = core::mem::take(&mut state.calls);
        let queued = core::mem::take(&mut state.control).into_iter().chain(core::mem::take(&mut state.entries));
        let origins: Vec<Origin> = calls.into_iter().chain(queued.map(|call| call.origin)).collect();
        for wait in core::mem::take(&mut state.waits) {
            self.actions.push_back(Action::Answer { token: wait.token, outcome: Outcome::Dead });
        }
        for origin in origins {
            self.abandon(origin);
        }
        for lane in self.lanes.indices() {
            if self.lanes[lane].from == From::Module(module) {
                let lane = &mut self.lanes[lane];
                lane.queue.metas_mut().for_each(|meta| meta.released = true);
                lane.parked.iter_mut().for_each(|parked| parked.meta.released = true);
            }
        }
        self.restart_lanes_to(module);
    }

    fn restart_lanes_to(&mut self, module: ModuleIndex) {
        for lane in self.lanes.indices() {
            if matches!(self.lanes[lane].to, To::Module { module: to, .. } if to == module) {
                self.lanes[lane].rewind();
                self.list(lane);
            }
        }
    }

    fn abandon(&mut self, origin: Origin) {
        let token = match origin {
            Origin::Enter { token } => token,
            Origin::Direct(direct) => direct.token,
            Origin::Timer(timer) => {
                if let Some(timer) = self.timers.get_mut(timer) {
                    timer.entered = false;
                }
                return;
            }
            Origin::Lane { .. } | Origin::Late { .. } => return,
        };
        self.actions.push_back(Action::Answer { token, outcome: Outcome::Dead });
    }

    /// True while there is room for what a module may emit.
    pub(crate) fn has_room(&self, module: ModuleIndex) -> bool {
        let state = &self.modules[module];
        state.memory < self.limits.module_bytes_max && self.owner_has_room(state.owner)
    }

    pub(crate) fn owner_has_room(&self, owner: OwnerIndex) -> bool {
        let owner = &self.owners[owner];
        owner.memory < self.limits.owner_bytes_max && owner.stored < self.limits.owner_stored_bytes_max
    }

    /// Queues a call of an owner: attest, open, control or entry. The answer comes as an [`Action::Answer`].
    ///
    /// # Errors
    /// [`EnterError::Dead`] when the module is not running, [`EnterError::Full`] when too many calls wait.
    pub fn enter(&mut self, module: ModuleIndex, op: Op, input: Vec<u8>, token: u64) -> Result<(), EnterError> {
        self.take_call(module)?;
        self.queue_call(module, Queued { op: Entry(op), input, origin: Origin::Enter { token } });
        Ok(())
    }

    /// Queues a frame of a direct connection. With `reply_by`, the answer is the reply frame.
    ///
    /// # Errors
    /// As [`enter`](Self::enter), and [`EnterError::Malformed`] when the frame is not one.
    pub fn direct(
        &mut self, module: ModuleIndex, row: u16, frame: &[u8], reply_by: Option<Time>, token: u64,
    ) -> Result<(), EnterError> {
        let header = match Frame::split(frame) {
            Ok((header, ..)) if frame.len() <= FRAME_BYTES_MAX => header,
            _ => return Err(EnterError::Malformed),
        };
        self.take_call(module)?;
        let mut input = row.to_le_bytes().to_vec();
        input.extend_from_slice(frame);
        let key = (header.connection.0, header.epoch.0, header.counter.0);
        let origin = Origin::Direct(Box::new(Direct { token, key, reply_by }));
        self.queue_call(module, Queued { op: Entry(Op::Event), input, origin });
        Ok(())
    }

    fn take_call(&self, module: ModuleIndex) -> Result<(), EnterError> {
        let state = &self.modules[module];
        if !state.alive {
            return Err(EnterError::Dead);
        }
        if state.control.len() + state.entries.len() >= self.limits.calls_max {
            return Err(EnterError::Full);
        }
        Ok(())
    }

    /// Enters a module with what waits for it, until `push` says that there is no room, or a fair share is in.
    /// Says how many calls went in.
    pub fn deliver(&mut self, module: ModuleIndex, mut push: impl FnMut(u64, Op, &[u8]) -> bool) -> usize {
        if !self.modules[module].alive {
            return 0;
        }
        let mut entered = self.deliver_queued(module, true, &mut push);
        if self.modules[module].full || !self.has_room(module) {
            return entered;
        }
        entered += self.deliver_queued(module, false, &mut push);
        let mut turns = self.modules[module].ready.len();
        while turns > 0 && !self.modules[module].full {
            turns -= 1;
            entered += self.deliver_lane(module, &mut push);
        }
        if !self.modules[module].ready.is_empty() {
            self.make_runnable(module);
        }
        entered
    }

    fn deliver_queued(
        &mut self, module: ModuleIndex, control: bool, push: &mut impl FnMut(u64, Op, &[u8]) -> bool,
    ) -> usize {
        let state = &mut self.modules[module];
        let mut entered = 0;
        loop {
            let queue = if control { &mut state.control } else { &mut state.entries };
            let Some(call) = queue.front() else { return entered };
            if !push(state.next_call, call.op.0, &call.input) {
                state.full = true;
                return entered;
            }
            let call = queue.pop_front().expect("the front was just seen");
            state.next_call += 1;
            state.calls.push_back(call.origin);
            entered += 1;
        }
    }

    /// Gives the first lane of the module its turn.
    fn deliver_lane(&mut self, module: ModuleIndex, push: &mut impl FnMut(u64, Op, &[u8]) -> bool) -> usize {
        let state = &mut self.modules[module];
        let Some(index) = state.ready.pop_front() else { return 0 };
        let lane = &mut self.lanes[index];
        let To::Module { row, .. } = lane.to else { unreachable!("listed lanes lead to their module") };
        let wait_for_disk = self.limits.wait_for_disk && lane.from != From::Link;
        let row = row.to_le_bytes();
        let mut entered = 0;
        while entered < TURN_FRAMES {
            let Some(cursor) = lane.next(u64::MAX, wait_for_disk) else {
                lane.listed = false;
                return entered;
            };
            let (record, meta) = lane.queue.record_mut(cursor).expect("the cursor is at a frame");
            record[PREFIX_BYTES - 2..PREFIX_BYTES].copy_from_slice(&row);
            if !push(state.next_call, Op::Event, &record[PREFIX_BYTES - 2..]) {
                state.full = true;
                state.ready.push_front(index);
                return entered;
            }
            state.next_call += 1;
            state.calls.push_back(Origin::Lane { lane: index, session: lane.session });
            lane.went_out(meta.length);
            entered += 1;
        }
        state.ready.push_back(index);
        entered
    }
}

/// Frames of one lane before the next one has its turn.
const TURN_FRAMES: usize = 64;
/// Leaves 2^32 calls before the number of unasked outputs.
const CALL_FIRST_MAX: u64 = veritee_host::UNASKED - (1 << 32);
