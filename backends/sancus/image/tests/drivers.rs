//! The drivers of a board, from the owner's control session to the pin.
#![allow(clippy::unwrap_used, reason = "tests")]

mod rig;

use rig::bench::Bench;
use rig::line::{self, Host};
use rig::{board, image};
use std::sync::OnceLock;
use veritee_conformance::desk::take_apart;
use veritee_ids::{ControlResult, Op, PortIndex, PriorEpoch, Role, Status};
use veritee_machine::Profile;
use veritee_sancus_image::BoardImage;

type Line = veritee_conformance::desk::Line;

/// The pin of the light.
const LIGHT: u8 = 0x20;
/// A second.
const SECOND: u64 = 8_000_000;

fn lights() -> &'static BoardImage {
    static IMAGE: OnceLock<BoardImage> = OnceLock::new();
    IMAGE.get_or_init(|| image(&["led", "button"]))
}

fn analogues() -> &'static BoardImage {
    static IMAGE: OnceLock<BoardImage> = OnceLock::new();
    IMAGE.get_or_init(|| image(&["sensor", "valve"]))
}

#[test]
fn the_light_follows_accepted_events_only() {
    let mut bench = Bench::new(lights(), "led");
    let (set, toggle) = (bench.connect("set", Role::Receiver), bench.connect("toggle", Role::Receiver));
    assert!(bench.pins(1000).is_empty());
    assert_eq!(bench.event(&set, 0, &[1, 0]), Status::Accepted);
    assert_eq!(bench.pins(1000), [LIGHT]);
    assert_eq!(bench.event(&set, 0, &[0, 0]), Status::Duplicate);
    assert_eq!(bench.event(&set, 5, &[0, 0]), Status::Gap);
    assert!(bench.pins(1000).is_empty(), "nothing moved");
    assert_eq!(bench.event(&toggle, 0, &[1, 0, 0, 0]), Status::Accepted);
    assert_eq!(bench.pins(1000), [0]);
    assert_eq!(bench.event(&toggle, 1, &[2, 0, 0, 0]), Status::Accepted);
    assert_eq!(bench.pins(1000), [LIGHT]);
    // Neither on nor off is no event of this type.
    assert_eq!(bench.event(&set, 1, &[7, 0]), Status::Accepted);
    assert!(bench.pins(1000).is_empty());
}

#[test]
fn an_exclusive_driver_serves_one_application() {
    let mut bench = Bench::new(lights(), "led");
    bench.connect("set", Role::Receiver);
    let line = Line::to(PortIndex(1), Role::Receiver);
    let mut set = bench.desk.key(&line, 1, PriorEpoch::None, 0);
    set.payload_type = bench.ports.ports[1].payload_type;
    set.application.0 += 1;
    assert!(matches!(bench.desk.set_key(&set), Err(refused) if refused != ControlResult::Done));
}

#[test]
fn a_press_of_the_button_becomes_an_event_without_being_asked_for() {
    let mut bench = Bench::new(lights(), "button");
    let line = bench.connect("pressed", Role::Sender);
    for number in 1..=3u32 {
        let frame = {
            let mut host = bench.host.borrow_mut();
            let now = host.board.cycle();
            host.board.schedule_pins(2, now + 1000, 1);
            host.board.schedule_pins(2, now + 20_000, 0);
            assert_eq!(host.frame().unwrap().kind, 0x40, "attention");
            let fetched = host.done(line::FETCH, &[0; 6]);
            assert_eq!(fetched[8], bench.handle);
            host.done(line::RELEASE, &fetched[..4]);
            take_apart(&fetched[14..]).frames.remove(0)
        };
        let emitted = line.open(&frame);
        assert_eq!((emitted.number(), emitted.header.counter.0), (number, u64::from(number - 1)));
    }
    assert!(bench.host.borrow().board.violations().is_empty());
}

#[test]
fn a_sample_is_what_the_input_shows() {
    let mut bench = Bench::new(analogues(), "sensor");
    let line = bench.connect("measured", Role::Sender);
    let entry = bench.ports.ports.iter().position(|port| port.name == "sample").unwrap();
    for sample in [0, 1234, 4095u16] {
        assert!(bench.host.borrow_mut().board.set_analogue(0, sample));
        let taken = bench.desk.enter(Op::Entry, &u16::try_from(entry).unwrap().to_le_bytes());
        assert_eq!(taken.result.status, Status::Accepted);
        assert_eq!(line.open(&taken.frames[0]).body, sample.to_le_bytes());
    }
}

#[test]
fn the_valve_falls_to_its_safe_value_unless_events_are_accepted() {
    let mut bench = Bench::new(analogues(), "valve");
    let line = bench.connect("command", Role::Receiver);
    for (counter, position) in [(0, 40), (1, 80)] {
        assert_eq!(bench.event(&line, counter, &[position, 0]), Status::Accepted);
        assert_eq!(bench.pins(SECOND / 2), [position]);
    }
    // What is not accepted does not start the time anew; nobody else can.
    assert_eq!(bench.event(&line, 1, &[99, 0]), Status::Duplicate);
    assert_eq!(bench.pins(SECOND), [0], "the safe value");
    assert_eq!(bench.event(&line, 2, &[255, 1]), Status::Accepted);
    assert_eq!(bench.pins(SECOND / 2), [255], "too far is as far as it goes");
    let mut host = bench.host.borrow_mut();
    host.board.reset();
    assert_eq!(host.board.dead_man_pins(), Some(0));
}

#[test]
fn a_driver_cannot_be_unloaded() {
    let mut host = Host::new(board(Profile::Veritee, lights()));
    let hello = host.done(line::HELLO, &[]);
    assert_eq!(hello[15..18], [8, 11, 2], "handles, slots, drivers");
    assert_eq!(host.request(line::UNLOAD, &[0, 0]).0, 4);
    let list = host.done(line::LIST, &[]);
    assert_eq!((list[0], list[1], list[16], list[17]), (0, 3, 1, 3));
}
