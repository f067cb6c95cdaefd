//! What a hostile normal world can do, and what comes of it.

use crate::subject::{Image, Instance, file, refusal};
use std::fs;
use std::path::Path;
use veritee_conformance::desk::Line;
use veritee_conformance::{Desk, Subject, probe};
use veritee_ids::{ControlKind, ControlResult, Op, PriorEpoch, Role, RowIndex, Status};
use veritee_trustzone_format::module::{CALL_HEADER_BYTES, CALLS, CallHeader};
use veritee_trustzone_format::{Uuid, result, service};
use veritee_trustzone_node::tee::{CLIENT, Parameter, Shared, Tee, TeeError, kind};
use veritee_trustzone_node::{APPLICATIONS, signed};
use veritee_wire::Layout as _;
use veritee_wire::layout::StatusRequest;

/// What survives a reboot: the activation id of an instance, and requests that it accepted.
fn kept(name: &str) -> String {
    format!("/data/replay.{name}")
}

/// Images that the core must not load.
pub(crate) fn refused_images() {
    let image = Image::read("probe");
    let refused = |what: &str, image: &[u8]| {
        let reason = refusal(image);
        assert!(reason.contains("the signature is not by the key"), "{what}: {reason}");
        println!("ok {what}: {reason}");
    };
    refused("signed by another key", &file("strange.ta"));
    let mut changed = image.signed.clone();
    let last = changed.len() - 200;
    changed[last] ^= 1;
    refused("a bit of its content changed", &changed);
    let mut renamed = file("probe-in-c.ta");
    let uuid = signed_uuid_at(&renamed);
    renamed[uuid..uuid + 16].copy_from_slice(&image.signed[signed_uuid_at(&image.signed)..][..16]);
    refused("another module under this one's name", &renamed);
    let cut = &image.signed[..image.signed.len() / 2];
    println!("ok cut off: {}", refusal(cut));
}

/// Where the UUID lies in a signed image: behind header, hash and signature.
fn signed_uuid_at(image: &[u8]) -> usize {
    20 + 32 + usize::from(u16::from_le_bytes([image[18], image[19]]))
}

/// A session without the node's runner between.
struct Raw {
    tee: Tee,
    session: u32,
    shared: Shared,
}

impl Raw {
    fn open(uuid: Uuid) -> Self {
        let tee = Tee::open(CLIENT).unwrap();
        let session = tee.open_session(uuid).unwrap();
        let shared = tee.share(0x2_0000).unwrap();
        Self { tee, session, shared }
    }

    /// Invokes the batch command with a call at 0 that says it has `length` bytes: memory in and out as named, offset and length.
    fn calls(&mut self, length: u32, memory_in: (u64, u64), memory_out: (u64, u64)) -> Result<u64, TeeError> {
        assert!(
            self.shared
                .write(0, &CallHeader { length, op: Op::Attest.code(), reserved: 0 }.bytes::<CALL_HEADER_BYTES>())
        );
        let memory = |kind, (a, b)| Parameter { kind, a, b, c: self.shared.id.into() };
        let mut parameters = [
            memory(kind::MEMORY_IN, memory_in),
            memory(kind::MEMORY_OUT, memory_out),
            Parameter { kind: kind::VALUE_OUT, ..Parameter::default() },
        ];
        self.tee.invoke(self.session, CALLS, &mut parameters).map(|()| parameters[2].a)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.tee.close_session(self.session);
    }
}

fn refused(what: &str, expected: u32, answer: Result<u64, TeeError>) {
    match answer {
        Err(TeeError::Refused(refused)) if refused.result == expected => println!("ok {what}: {refused}"),
        other => panic!("{what}: {other:?}"),
    }
}

/// Calls that no runner makes.
pub(crate) fn forged_calls() {
    let image = Image::read("probe");
    let uuid = signed::name_of(&image.signed).unwrap();
    let path = Path::new(APPLICATIONS).join(format!("{uuid}.ta"));
    fs::write(&path, &image.signed).unwrap();
    let mut raw = Raw::open(uuid);
    fs::remove_file(&path).unwrap();
    const BAD: u32 = result::BAD_PARAMETERS;
    let out = (0x1_0000, 0x1_0000);
    refused("input and output overlap", BAD, raw.calls(16, (0, 24), (16, 0x8000)));
    refused("input and output are the same", BAD, raw.calls(16, (0, 0x8000), (0, 0x8000)));
    refused("a length beyond all bounds", BAD, raw.calls(u32::MAX, (0, 24), out));
    refused("a length beyond the memory", BAD, raw.calls(100, (0, 24), out));
    refused("no room for any answer", BAD, raw.calls(16, (0, 24), (0x1_0000, 8)));
    match raw.calls(16, (0x1_ffff, 0x1000), out) {
        Err(TeeError::Kernel(error)) => println!("ok memory beyond what is shared: {error}"),
        other => panic!("memory beyond what is shared: {other:?}"),
    }
    let mut values = [Parameter { kind: kind::VALUE_IN, a: 0x0e10_0000, b: 64, c: 0 }; 3];
    refused("numbers in the place of memory", BAD, raw.tee.invoke(raw.session, CALLS, &mut values).map(|()| 0));
    refused("another command", result::NOT_SUPPORTED, raw.tee.invoke(raw.session, 77, &mut []).map(|()| 0));
    assert_eq!(raw.calls(16, (0, 24), out).unwrap(), 1, "a sound call is done after all of that");
    println!("ok a sound call");
    key_for_nobody();
}

/// The service gives keys to trusted applications only.
fn key_for_nobody() {
    let service = Raw::open(service::UUID);
    let out = Parameter { kind: kind::VALUE_OUT, ..Parameter::default() };
    let mut parameters = [Parameter { kind: kind::VALUE_IN, a: 2, ..Parameter::default() }, out, out];
    let asked = service.tee.invoke(service.session, service::KEY, &mut parameters).map(|()| 0);
    refused("a module key for the normal world", result::ACCESS_DENIED, asked);
}

/// Requests that an instance accepted, by the name of their files, as they went over the wire.
type Accepted = [(&'static str, Vec<u8>); 2];

/// A status request and a set-key of one session.
fn accepted(desk: &mut Desk) -> Accepted {
    let line = Line::to(probe::ADD, Role::Receiver);
    let set = desk.key(&line, 1, PriorEpoch::None, 0);
    let status = desk.session.request(ControlKind::Status, &StatusRequest { first_row: RowIndex(0) });
    assert!(desk.send(&status).is_some(), "the instance accepts it the first time");
    let key = desk.session.request(ControlKind::SetKey, &set);
    let (answer, _) = desk.send(&key).expect("the instance accepts it the first time");
    assert_eq!(answer.result, ControlResult::Done);
    [("status", status.bytes), ("set-key", key.bytes)]
}

/// Another activation refuses each, before it has a session and with one of its own, even under a challenge that was said before; and it
/// has no row then.
fn are_refused(image: &Image, requests: &Accepted, when: &str) {
    for (name, request) in requests {
        let mut other = Instance::start(image);
        let output = other.enter(Op::Control, request);
        assert_eq!(veritee_conformance::desk::take_apart(&output).result.status, Status::Refused);
        drop(other);
        let mut desk = Desk::active(&|| Box::new(Instance::start(image)));
        assert_eq!(desk.enter(Op::Control, request).result.status, Status::Refused);
        assert!(desk.status().rows.is_empty());
        println!("ok a {name} of {when} is refused");
    }
}

/// What one activation accepted, another one refuses.
pub(crate) fn replay_after_reload() {
    let image = Image::read("probe");
    let mut desk = Desk::active(&|| Box::new(Instance::start(&image)));
    let requests = accepted(&mut desk);
    drop(desk);
    are_refused(&image, &requests, "an earlier activation");
}

/// Keeps what an instance accepts, for after the reboot.
pub(crate) fn keep_for_replay() {
    let image = Image::read("probe");
    let mut desk = Desk::active(&|| Box::new(Instance::start(&image)));
    fs::write(kept("activation"), desk.activation.0).unwrap();
    for (name, request) in accepted(&mut desk) {
        fs::write(kept(name), request).unwrap();
    }
    println!("ok kept");
}

/// What was accepted before the reboot is refused after it.
pub(crate) fn replay_after_reboot() {
    let image = Image::read("probe");
    let desk = Desk::active(&|| Box::new(Instance::start(&image)));
    assert_ne!(&desk.activation.0[..], fs::read(kept("activation")).unwrap(), "activations are never the same");
    drop(desk);
    let requests = ["status", "set-key"].map(|name| (name, fs::read(kept(name)).unwrap()));
    are_refused(&image, &requests, "before the reboot");
}

/// Evidence of a new activation under a challenge of 16 such bytes, for the owner who judges it outside.
pub(crate) fn evidence(challenge: u8) {
    let output = Instance::start(&Image::read("probe")).enter(Op::Attest, &[challenge; 16]);
    let taken = veritee_conformance::desk::take_apart(&output);
    assert_eq!(taken.result.status, Status::Accepted);
    let hex: String = taken.reply.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("ok evidence {hex}");
}
