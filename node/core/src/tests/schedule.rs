//! A small world with two nodes and one connection of requests, driven by a seed.

use crate::{Action, AppIndex, Limits, LinkIndex, ModuleIndex, Remote, RouteIn, RouteOut, Router, Time, record};
use std::collections::VecDeque;
use veritee_host::UNASKED;
use veritee_ids::{ConnectionId, Counter, Epoch, FrameKind, Op, Status};
use veritee_wire::layout::{EntryResult, Frame};
use veritee_wire::{Layout, OutputWriter};

/// How many schedules the long test runs.
pub(super) const SCHEDULES: u64 = 5000;
const CONNECTION: u16 = 5;
const IDENTITIES: [[u8; 32]; 2] = [[1; 32], [2; 32]];

/// Small deterministic randomness (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

pub(super) fn frame(connection: u16, kind: FrameKind, counter: u64) -> Vec<u8> {
    let mut bytes = vec![0x5a; 50];
    let header = Frame { connection: ConnectionId(connection), kind, epoch: Epoch(1), counter: Counter(counter) };
    header.encode(&mut bytes).unwrap();
    bytes
}

pub(super) fn output(status: Status, value: u64, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0; 64 + 64 * frames.len()];
    let mut writer = OutputWriter::new(&mut bytes).unwrap();
    for frame in frames {
        writer.record(veritee_wire::output::FRAME, frame.len()).unwrap().copy_from_slice(frame);
    }
    let length = writer.finish(EntryResult { status, reserved: 0, value });
    bytes.truncate(length);
    bytes
}

/// A node with its module. The module, its ring and the disk outlive the router.
pub(super) struct Side {
    pub(super) router: Router,
    pub(super) app: AppIndex,
    pub(super) module: ModuleIndex,
    pub(super) entries: u64,
    ring: VecDeque<(u64, u64, Vec<u8>)>,
    given: usize,
    position: u64,
    disk: Vec<(u32, Vec<u8>)>,
    batch: Option<(u32, Vec<u8>)>,
    segment: u32,
    sent: u64,
    next: u64,
    busy: u64,
    lives: u8,
}

pub(super) struct World {
    pub(super) sides: [Side; 2],
    pub(super) dialable: bool,
    now: u64,
    link: Option<[LinkIndex; 2]>,
    /// Bytes on the way to each side.
    wires: [Vec<u8>; 2],
    dice: Dice,
    limits: Limits,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self::with_limits(seed, Limits::default())
    }

    pub(super) fn with_limits(seed: u64, limits: Limits) -> Self {
        let mut dice = Dice(seed);
        let limits = Limits { wait_for_disk: seed % 5 == 4 && dice.roll(2) == 0, ..limits };
        let sides = [0, 1].map(|side| Side::new(side, &limits));
        Self { sides, dialable: true, now: 0, link: None, wires: [Vec::new(), Vec::new()], dice, limits }
    }

    /// Runs a schedule, then lets everything come to rest and judges it.
    pub(super) fn run(mut self, steps: u64) {
        for _ in 0..steps {
            self.step();
        }
        self.settle();
        self.assert_complete();
    }

    fn step(&mut self) {
        let side = usize::try_from(self.dice.roll(2)).unwrap();
        let amount = self.dice.roll(40) + 1;
        match self.dice.roll(14) {
            0 | 1 => {
                let kind = if self.dice.roll(3) == 0 { FrameKind::Request } else { FrameKind::Event };
                self.emit(kind, amount);
            }
            2 => self.pull(side, usize::try_from(amount).unwrap()),
            3 => self.deliver(side),
            4 | 5 => {
                let bytes = usize::try_from(amount * 37).unwrap();
                self.write(side);
                self.carry(side, bytes);
            }
            6 => self.cut(),
            7 => self.crash(side),
            8 => self.store(side),
            9 => self.stored(side),
            10 => self.tick(amount * 400),
            11 => self.sides[side].busy += amount % 4,
            12 => self.move_oldest(side),
            _ => self.act(side),
        }
    }

    pub(super) fn emit(&mut self, kind: FrameKind, count: u64) {
        let side = &mut self.sides[0];
        let frames: Vec<_> = (0..count).map(|more| frame(CONNECTION, kind, side.sent + more)).collect();
        side.sent += count;
        // As an interrupt of a driver does: no call of this router made it.
        side.leave(UNASKED, output(Status::Accepted, 0, &frames));
    }

    pub(super) fn pull(&mut self, side: usize, limit: usize) {
        let now = Time(self.now);
        let side = &mut self.sides[side];
        for (position, call, bytes) in side.ring.iter().skip(side.given).take(limit) {
            side.router.output(now, side.module, *position, *call, bytes).unwrap();
            side.given += 1;
        }
        while let Some((_, position)) = side.router.take_release() {
            while side.ring.front().is_some_and(|(end, ..)| *end <= position) {
                side.ring.pop_front();
                side.given -= 1;
            }
        }
    }

    pub(super) fn deliver(&mut self, index: usize) {
        while self.sides[index].router.next_runnable().is_some() {}
        let side = &mut self.sides[index];
        let mut calls = Vec::new();
        side.router.deliver(side.module, |call, op, input| {
            calls.push((call, op, input.to_vec()));
            calls.len() <= 30
        });
        calls.truncate(30);
        for (call, op, input) in calls {
            let left = side.enter(index, op, &input);
            side.leave(call, left);
        }
    }

    /// Puts what a side has to say on the wire.
    fn write(&mut self, side: usize) {
        let Some(links) = self.link else { return };
        self.sides[side].router.fill_link(links[side], &mut self.wires[1 - side], 64 * 1024);
    }

    /// Brings bytes to a side.
    fn carry(&mut self, side: usize, bytes: usize) {
        let Some(links) = self.link else { return };
        let wire = &mut self.wires[side];
        let arriving = &wire[..bytes.min(wire.len())];
        let taken = self.sides[side].router.link_input(Time(self.now), links[side], arriving).unwrap();
        wire.drain(..taken);
    }

    pub(super) fn cut(&mut self) {
        if let Some(links) = self.link.take() {
            for (side, link) in self.sides.iter_mut().zip(links) {
                side.router.link_down(Time(self.now), link);
            }
        }
        self.wires = [Vec::new(), Vec::new()];
    }

    /// The daemon is killed: its router is gone, and what the disk had not finished.
    fn crash(&mut self, index: usize) {
        if let Some(links) = self.link.take() {
            self.sides[1 - index].router.link_down(Time(self.now), links[1 - index]);
        }
        self.wires = [Vec::new(), Vec::new()];
        // Of a batch, any part may have reached the disk: the tail is torn.
        if let Some((segment, bytes)) = self.sides[index].batch.take() {
            let kept = usize::try_from(self.dice.roll(bytes.len() as u64 + 1)).unwrap();
            self.sides[index].disk.push((segment, bytes[..kept].to_vec()));
        }
        self.sides[index].restart(index, &self.limits);
    }

    pub(super) fn store(&mut self, side: usize) {
        let side = &mut self.sides[side];
        if side.batch.is_some() {
            return;
        }
        let mut bytes = Vec::new();
        record::put_front(&mut bytes, side.segment);
        if side.router.fill_store(Time(self.now), side.segment, &mut bytes, 2000) > 0 {
            side.batch = Some((side.segment, bytes));
            side.segment += 1;
        }
    }

    /// Starts to move what waits in the oldest segment to a new one.
    fn move_oldest(&mut self, side: usize) {
        let side = &mut self.sides[side];
        if side.batch.is_some() {
            return;
        }
        let Some((oldest, _)) = side.router.oldest_segment() else { return };
        let mut bytes = Vec::new();
        record::put_front(&mut bytes, side.segment);
        if side.router.move_segment(oldest, side.segment, &mut bytes) > 0 {
            side.batch = Some((side.segment, bytes));
            side.segment += 1;
        }
    }

    pub(super) fn stored(&mut self, side: usize) {
        let side = &mut self.sides[side];
        if let Some(batch) = side.batch.take() {
            side.disk.push(batch);
            side.router.stored(Time(self.now));
        }
        while let Some(dead) = side.router.take_dead_segment(side.segment) {
            side.disk.retain(|(segment, _)| *segment != dead);
        }
    }

    pub(super) fn tick(&mut self, micros: u64) {
        self.now += micros;
        for side in &mut self.sides {
            side.router.tick(Time(self.now));
        }
    }

    fn act(&mut self, side: usize) {
        while let Some(action) = self.sides[side].router.next_action() {
            match action {
                Action::Dial { peer, identity, .. } => {
                    if self.dialable && self.link.is_none() {
                        let ours = self.sides[side].router.link_up(&identity, true).unwrap();
                        let theirs = self.sides[1 - side].router.link_up(&IDENTITIES[side], false).unwrap();
                        self.link = Some(if side == 0 { [ours, theirs] } else { [theirs, ours] });
                    } else {
                        self.sides[side].router.dial_failed(Time(self.now), peer, &identity);
                    }
                }
                Action::CloseLink { .. } => self.cut(),
                Action::Answer { .. } => {}
            }
        }
    }

    /// Lets everything happen until nothing is left to happen.
    pub(super) fn settle(&mut self) {
        for _ in 0..20_000 {
            for side in [0, 1] {
                self.act(side);
                self.deliver(side);
                self.pull(side, 1000);
                self.write(side);
                self.carry(side, usize::MAX);
                self.store(side);
                self.stored(side);
            }
            self.tick(5_000);
            if self.is_complete() {
                return;
            }
        }
    }

    fn is_complete(&self) -> bool {
        let [source, target] = &self.sides;
        let waiting = |side: &Side| side.router.waiting(side.app);
        target.next == source.sent
            && waiting(source) == 0
            && waiting(target) == 0
            && self.held_outputs(0) == 0
            && self.held_outputs(1) == 0
    }

    /// The model's receiver asserted order and that nothing came twice; here: nothing is missing, nothing is left over.
    pub(super) fn assert_complete(&self) {
        let [source, target] = &self.sides;
        assert_eq!(target.next, source.sent, "everything was accepted");
        for side in &self.sides {
            assert_eq!(side.router.waiting(side.app), 0, "everything is settled");
            let totals = side.router.totals();
            assert_eq!((totals.memory_bytes, totals.stored_bytes), (0, 0), "everything is given back");
        }
        assert_eq!((self.held_outputs(0), self.held_outputs(1)), (0, 0), "rings are empty");
        let [source, target] = self.sides.each_ref().map(|side| &side.disk);
        assert_eq!(source.len().max(target.len()).min(2), source.len().max(target.len()), "dead segments are deleted");
    }

    pub(super) fn held_outputs(&self, side: usize) -> usize {
        self.sides[side].ring.len()
    }

    pub(super) fn records_written(&self) -> usize {
        let records = |(segment, bytes): &(u32, Vec<u8>)| record::records(bytes, *segment).unwrap().count();
        self.sides.iter().map(|side| side.disk.iter().map(records).sum::<usize>()).sum()
    }
}

impl Side {
    fn new(index: usize, limits: &Limits) -> Self {
        let mut side = Self {
            router: Router::new(limits.clone(), IDENTITIES[index], [0; 16]),
            app: AppIndex(0),
            module: ModuleIndex(0),
            entries: 0,
            ring: VecDeque::new(),
            given: 0,
            position: 0,
            disk: Vec::new(),
            batch: None,
            segment: 1,
            sent: 0,
            next: 0,
            busy: 0,
            lives: 0,
        };
        side.restart(index, limits);
        side
    }

    /// A new daemon: routes from the journal, frames from the disk, the living module with its ring.
    fn restart(&mut self, index: usize, limits: &Limits) {
        self.lives += 1;
        let life = [self.lives; 16];
        let mut router = Router::new(limits.clone(), IDENTITIES[index], life);
        let owner = router.add_owner([9; 32]);
        let app = router.add_application(owner, [7; 16], 3);
        let module = router.module(app, "module");
        let other = Remote::Node { identity: IDENTITIES[1 - index], address: "there:1".to_owned() };
        if index == 0 {
            router.route_out(app, CONNECTION, RouteOut { source: module, source_row: 1, target: other });
        } else {
            let (target_row, deadline, port) = (2, 0, 0);
            let route = RouteIn { target: module, target_row, source: other, deadline, port };
            router.route_in(Time(0), app, CONNECTION, route);
        }
        self.disk.retain(|(segment, bytes)| {
            let Ok(records) = record::records(bytes, *segment) else { return false };
            let replayed = records.map(|(_, frame)| router.replay(app, *segment, frame)).count();
            replayed > 0
        });
        router.replayed();
        router.module_up(module, u64::from(self.lives) << 32);
        self.router = router;
        (self.app, self.module) = (app, module);
        self.given = 0;
        self.segment += 1;
    }

    /// The module answers the one call that a test gave it.
    pub(super) fn attested_elsewhere(&mut self) {
        let call = u64::from(self.lives) << 32;
        self.leave(call, output(Status::Accepted, 0, &[]));
    }

    fn leave(&mut self, call: u64, bytes: Vec<u8>) {
        self.position += bytes.len() as u64;
        self.ring.push_back((self.position, call, bytes));
    }

    /// The model of a module: the next counter is accepted, everything else is told.
    fn enter(&mut self, index: usize, op: Op, input: &[u8]) -> Vec<u8> {
        if op != Op::Event {
            self.entries += 1;
            return output(Status::Accepted, 0, &[]);
        }
        if self.busy > 0 {
            self.busy -= 1;
            return output(Status::Busy, 0, &[]);
        }
        assert_eq!(input[..2], [[1, 0], [2, 0]][index], "the row of the table");
        let (header, _) = Frame::decode_front(&input[2..]).unwrap();
        let counter = header.counter.0;
        if header.kind == FrameKind::Reply {
            return output(Status::Accepted, 0, &[]);
        }
        match counter.cmp(&self.next) {
            std::cmp::Ordering::Less => output(Status::Duplicate, 0, &[]),
            std::cmp::Ordering::Greater => output(Status::Gap, self.next, &[]),
            std::cmp::Ordering::Equal => {
                self.next += 1;
                let reply = (header.kind == FrameKind::Request).then(|| frame(CONNECTION, FrameKind::Reply, counter));
                output(Status::Accepted, 0, &reply.into_iter().collect::<Vec<_>>())
            }
        }
    }
}
