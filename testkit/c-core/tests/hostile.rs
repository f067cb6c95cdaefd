//! A host that enters with whatever it likes: nothing that is not authentic changes anything, and no byte beyond what belongs
//! to the core is touched (which the sanitizers see, where the toolchain has them).

mod support;

use support::Random;
use veritee_c_core::{CModule, Program, ROOM, probe, short_form};
use veritee_conformance::desk::{Line, NO_OPERATION, take_apart};
use veritee_conformance::probe::{ADD, ASK, DOUBLE, RELAY, SUM};
use veritee_conformance::{Desk, Subject};
use veritee_ids::{CipherId, ControlKind, FrameKind, Op, PriorEpoch, Role, Status};
use veritee_session::Kdf;

const LIVES: u64 = 12;
const STEPS: u32 = 250;

const LINES: [Line; 5] = [
    Line::to(ADD, Role::Receiver),
    Line::to(SUM, Role::Sender),
    Line::to(ASK, Role::Requester),
    Line::to(DOUBLE, Role::Handler),
    Line::to(RELAY, Role::Handler),
];

/// A module that a hostile host enters between the owner's steps.
struct Besieged {
    module: CModule,
    random: Random,
    /// Inputs that were authentic once.
    seen: Vec<(Op, Vec<u8>)>,
}

impl Besieged {
    /// Anything at all: random bytes, or something authentic with a change, with as little room as the host likes.
    fn attack(&mut self) {
        let op = match self.random.below(8) {
            0 => u16::try_from(self.random.below(0x1_0000)).expect("16 bits"),
            1 => 0x101,
            _ => u16::try_from(self.random.below(8)).expect("below 8"),
        };
        let length = usize::try_from(self.random.below(300)).expect("below 300");
        let mut input: Vec<u8> = (0..length).map(|_| self.random.next().to_le_bytes()[0]).collect();
        let mut op = op;
        if self.random.below(2) == 0 && !self.seen.is_empty() {
            let at = usize::try_from(self.random.below(self.seen.len() as u64)).expect("an index");
            let (seen, bytes) = &self.seen[at];
            (op, input) = (seen.code(), bytes.clone());
            self.change(&mut input);
        }
        // What anybody may do is no attack: attestations, entries, deadlines.
        if op == 1 && input.len() == 16 {
            input.push(0);
        }
        if matches!(op, 5 | 6) {
            input.iter_mut().take(1).for_each(|port| *port |= 0x40);
        }
        let room = match self.random.below(4) {
            0 => u16::try_from(self.random.below(u64::from(ROOM))).expect("16 bits"),
            _ => ROOM,
        };
        let output = self.module.enter_with(op, &input, room);
        if output.is_empty() {
            assert!(room < 20, "an output is missing");
            return;
        }
        let taken = take_apart(&output);
        let poll = op == 0x101 && taken.frames.is_empty();
        assert!(taken.result.status != Status::Accepted || poll, "op {op} input {input:02x?}");
        assert!(taken.reply.is_empty() && taken.frames.is_empty(), "{taken:?}");
    }

    /// Flips a bit that is authenticated, or cuts, or makes longer.
    fn change(&mut self, input: &mut Vec<u8>) {
        let bits = u64::try_from(input.len() * 8).expect("short");
        match self.random.below(4) {
            0 => input.truncate(usize::try_from(self.random.below(bits / 8)).expect("short")),
            1 => input.extend([0, 0]),
            _ => {
                let bit = usize::try_from(self.random.below(bits)).expect("short");
                input[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}

impl Subject for Besieged {
    fn enter(&mut self, op: Op, input: &[u8]) -> Vec<u8> {
        for _ in 0..self.random.below(6) {
            self.attack();
        }
        let short = if op == Op::Event { short_form(input) } else { input.to_vec() };
        if matches!(op, Op::Event | Op::Control) {
            self.seen.push((op, short.clone()));
        }
        self.module.enter_with(op.code(), &short, ROOM)
    }

    fn transcript(&self, evidence: &[u8]) -> Vec<u8> {
        evidence.to_vec()
    }

    fn module_key(&self) -> Option<[u8; 16]> {
        self.module.module_key()
    }

    fn kdf(&self) -> Kdf {
        Kdf::SpongeWrap
    }

    fn cipher(&self) -> CipherId {
        CipherId::Spongent128
    }
}

/// The owner works as if nobody attacked: every event that is authentic and next is accepted, and the counters show no other.
#[test]
fn attacks_change_nothing() {
    for seed in support::seeds(LIVES) {
        println!("VERITEE_SEED={seed}");
        let start =
            || Box::new(Besieged { module: CModule::new(probe()), random: Random::new(seed), seen: Vec::new() }) as _;
        let mut desk = Desk::start(&start);
        assert_eq!(desk.name(ControlKind::Activate, NO_OPERATION), veritee_ids::ControlResult::Done);
        LINES.iter().for_each(|line| desk.connect(line));
        let (mut random, mut next) = (Random::new(!seed), [0_u64; 5]);
        for step in 0..STEPS {
            let at = usize::try_from(random.below(5)).expect("below 5");
            let line = LINES[at];
            match line.role {
                Role::Receiver => {
                    let taken = desk.event(&line, 1, next[at], step);
                    assert_eq!((taken.result.status, taken.frames.len()), (Status::Accepted, 1));
                    next[at] += 1;
                    next[1] += 1;
                }
                Role::Handler if at == 3 => {
                    let taken = desk.event(&line, 1, next[at], step);
                    assert_eq!((taken.result.status, taken.frames.len()), (Status::Accepted, 1));
                    next[at] += 1;
                }
                Role::Handler => {
                    assert_eq!(desk.event(&line, 1, next[at], step).result.status, Status::Accepted);
                    next[at] += 1;
                    let reply = desk.seal(&LINES[2], FrameKind::Reply, 1, next[2], &[0, 0, 1, 2, 3, 4]);
                    assert_eq!(desk.frame(&LINES[2], &reply).frames.len(), 1);
                    next[2] += 1;
                }
                Role::Sender | Role::Requester => {
                    let status = desk.status();
                    let counters: Vec<u64> = LINES
                        .iter()
                        .filter_map(|line| status.rows.iter().find(|row| row.row == line.row))
                        .map(|row| row.next.0)
                        .collect();
                    assert_eq!(counters, next);
                    // The same key again is a retry, and changes nothing.
                    let again = desk.key(&line, 1, PriorEpoch::None, 0);
                    assert!(desk.set_key(&again).is_ok());
                }
            }
        }
    }
}

#[test]
fn the_hardware_is_never_asked_for_what_it_cannot_do() {
    // `CModule` checks each request to the processor; here is one life of all that the suite knows, with the least room.
    let mut module = CModule::new(probe());
    let needed = |taken: veritee_conformance::desk::Taken| u16::try_from(taken.result.value).expect("a board's room");
    let room = needed(take_apart(&module.enter_with(1, &[7; 16], 20)));
    assert_eq!(take_apart(&module.enter_with(1, &[7; 16], room - 1)).result.status, Status::NoRoom);
    let taken = take_apart(&module.enter_with(1, &[7; 16], room));
    assert_eq!((taken.result.status, taken.reply.len()), (Status::Accepted, 62));
    for short in 0..20 {
        assert!(module.enter_with(1, &[7; 16], short).is_empty());
    }
    let _: &Program = probe();
}
