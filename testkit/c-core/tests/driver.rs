//! What only drivers have: one application at a time, the proof of it, polls. And payloads that are not all of one length.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use veritee_c_core::{CModule, Program, ROOM};
use veritee_conformance::Subject;
use veritee_conformance::desk::{Line, Taken, open_session, take_apart};
use veritee_ids::limits::PROTOCOL_VERSION;
use veritee_ids::{
    ActivationId, ApplicationHandle, ApplicationId, CipherId, ConnectionId, ControlKind, ControlResult, Direction,
    Epoch, FrameKind, Label, Op, PortIndex, PriorEpoch, Role, RowIndex, Status,
};
use veritee_session::keys::{ConfirmRequest, GrantedBlock};
use veritee_session::{Answer, Kdf, OwnerSession};
use veritee_wire::Layout;
use veritee_wire::layout::{OperationName, SetKey};

const POLL: u16 = 0x101;
const APPLICATION: ApplicationId = ApplicationId([9; 16]);

struct Driver {
    module: CModule,
    session: OwnerSession,
    activation: ActivationId,
    types: [[u8; 8]; 2],
}

const fn line(port: u16, role: Role) -> Line {
    let cipher = Some(CipherId::Spongent128);
    Line { row: RowIndex(port), connection: ConnectionId(100 + port), port: PortIndex(port), role, cipher }
}
const DONE: Line = line(0, Role::Sender);
const ORDER: Line = line(1, Role::Receiver);
const LOOK: PortIndex = PortIndex(2);

impl Driver {
    fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/driver");
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/c");
        let compiler = veritee_c_declare::Compiler::host().unwrap();
        let declared = veritee_c_declare::read(&folder, &sdk, &compiler).unwrap();
        let types = [0, 1].map(|port: usize| declared.ports[port].payload.hash);
        let mut module = CModule::new(&Program::compile(&folder));
        let (activation, session) = open_session(&mut module, [1; 16]);
        let mut driver = Self { module, session, activation, types };
        let operation = veritee_ids::OperationId([0; 16]);
        assert_eq!(driver.ask(ControlKind::Activate, &OperationName { operation }).result, ControlResult::Done);
        driver
    }

    fn ask<L: Layout>(&mut self, kind: ControlKind, body: &L) -> Answer {
        let request = self.session.request(kind, body);
        let taken = take_apart(&self.module.enter(Op::Control, &request.bytes));
        self.session.answer(&request, &taken.reply).unwrap()
    }

    fn set_key(&mut self, line: &Line, epoch: u32, application: u16) -> ControlResult {
        let payload_type = veritee_ids::TypeHash(self.types[usize::from(line.port.0)]);
        let application = ApplicationHandle(application);
        let prior = if epoch == 1 { PriorEpoch::None } else { PriorEpoch::Abandon };
        let set = SetKey { payload_type, application, ..line.set_key(epoch, prior, 0) };
        self.ask(ControlKind::SetKey, &set).result
    }

    fn order(&mut self, counter: u64, body: &[u8]) -> Taken {
        let frame = ORDER.seal(FrameKind::Event, 1, counter, body);
        take_apart(&self.module.enter(Op::Event, &[&ORDER.row.0.to_le_bytes()[..], &frame].concat()))
    }

    fn poll(&mut self) -> Vec<Vec<u8>> {
        take_apart(&self.module.enter_with(POLL, &[], ROOM)).frames
    }
}

#[test]
fn a_driver_serves_one_application_and_proves_it() {
    let mut driver = Driver::start();
    assert_eq!(driver.set_key(&ORDER, 1, 3), ControlResult::Done);
    assert_eq!(driver.set_key(&DONE, 1, 4), ControlResult::RowTaken);
    assert_eq!(driver.set_key(&ORDER, 2, 4), ControlResult::RowTaken, "nor a row that is there already");
    assert_eq!(driver.set_key(&DONE, 1, 3), ControlResult::Done);
    let asked = ConfirmRequest { row: ORDER.row, device: 5, application: APPLICATION };
    let answer = driver.ask(ControlKind::Confirm, &asked);
    let block = GrantedBlock {
        label: Label::Granted,
        version: PROTOCOL_VERSION,
        device: 5,
        application: APPLICATION,
        activation: driver.activation,
        epoch: Epoch(1),
    };
    let key = ORDER.key(Epoch(1), Direction::Forward);
    let expected = Kdf::SpongeWrap.derive(&key, &block.bytes::<{ GrantedBlock::BYTES }>());
    assert_eq!((answer.result, answer.body.as_slice()), (ControlResult::Done, &expected.expose()[..]));
    let free = ConfirmRequest { row: RowIndex(2), ..asked };
    assert_eq!(driver.ask(ControlKind::Confirm, &free).result, ControlResult::NoSuchRow);
    assert_eq!(driver.set_key(&ORDER, 2, 3), ControlResult::Done);
    assert_ne!(driver.ask(ControlKind::Confirm, &asked).body, answer.body, "the proof is the newest epoch's");
}

#[test]
fn a_poll_emits_what_an_event_left() {
    let mut driver = Driver::start();
    assert!(driver.poll().is_empty(), "there is nothing yet");
    assert_eq!(driver.set_key(&ORDER, 1, 3), ControlResult::Done);
    assert_eq!(driver.set_key(&DONE, 1, 3), ControlResult::Done);
    let order = [1, 2, 9, 1, 3, 0, b'a', b'b', b'c', 0];
    let taken = driver.order(0, &order);
    assert_eq!((taken.result.status, taken.frames.len()), (Status::Accepted, 0));
    let done = driver.poll();
    assert_eq!(DONE.open(&done[0]).body, order);
    assert!(driver.poll().is_empty());
    let look = take_apart(&driver.module.enter(Op::Entry, &LOOK.0.to_le_bytes()));
    assert_eq!(look.reply, order[..9], "a response has its own length");
}

#[test]
fn payloads_without_meaning_are_counted_and_run_nothing() {
    let mut driver = Driver::start();
    assert_eq!(driver.set_key(&ORDER, 1, 3), ControlResult::Done);
    let good: [&[u8]; 3] = [&[0, 0, 1, 0, 0, 0], &[0, 0, 9, 1, 5, 0, 1, 2, 3, 4, 5, 0], &[0, 0, 0, 0, 2, 0, 1, 2]];
    let bad: [&[u8]; 8] = [
        &[0, 0, 2, 0, 0, 0],                   // no such switch
        &[0, 0, 1, 2, 0, 0],                   // no such bool
        &[0, 0, 1, 0, 6, 0, 1, 2, 3, 4, 5, 6], // longer than it can be
        &[0, 0, 1, 0, 0, 1, 1, 1],             // far longer
        &[0, 0, 1, 0, 1, 0],                   // cut
        &[0, 0, 1, 0, 1, 0, 1, 9],             // padding that is not zero
        &[0, 0, 1, 0, 0, 0, 0, 0],             // more padding than there is
        &[0, 0],                               // the front alone
    ];
    for (counter, body) in (0..).zip(good.iter().chain(&bad)) {
        let taken = driver.order(counter, body);
        assert_eq!(taken.result.status, Status::Accepted, "{body:?}");
    }
    let answer = driver.ask(ControlKind::Status, &veritee_wire::layout::StatusRequest { first_row: RowIndex(0) });
    let (head, _) = veritee_wire::layout::StatusHead::decode_front(&answer.body).unwrap();
    assert_eq!(head.malformed, 8);
    let look = take_apart(&driver.module.enter(Op::Entry, &LOOK.0.to_le_bytes()));
    assert_eq!(look.reply, [0, 0, 0, 0, 2, 0, 1, 2], "the last one with a meaning");
}
