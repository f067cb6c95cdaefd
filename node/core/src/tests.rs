//! The router against a model: two nodes, modules with counters for keys, and a schedule that cuts, crashes and delays.

mod schedule;

use crate::queue::{FrameQueue, Meta};
use crate::record;
use crate::{Limits, Outcome, Remote, RouteIn, RouteOut, Router, Time};
use schedule::{World, frame};
use std::vec::Vec;
use veritee_host::UNASKED;
use veritee_ids::{FrameKind, Op, Status};

fn meta(length: usize) -> Meta {
    Meta { length: u32::try_from(length).unwrap(), segment: 0, output: 0, released: false, done: None }
}

#[test]
fn a_queue_gives_back_what_it_took_and_positions_do_not_move() {
    let mut queue = FrameQueue::default();
    let mut taken = 0_u64;
    for round in 0..2000_u64 {
        let frame = vec![u8::try_from(round % 251).unwrap(); 40 + usize::try_from(round % 90).unwrap()];
        queue.push(&frame, meta(frame.len() + 8));
        if round % 3 != 0 {
            let at = queue.front();
            assert_eq!(at.frame, taken);
            let (found, _) = queue.frame(at).unwrap();
            assert!(found.iter().all(|byte| u64::from(*byte) == taken % 251));
            queue.pop().unwrap();
            taken += 1;
        }
    }
    assert_eq!(queue.end(), 2000);
    while queue.pop().is_some() {}
    assert_eq!((queue.bytes_len(), queue.front().frame), (0, 2000));
}

#[test]
fn records_are_read_up_to_the_torn_tail_whatever_is_cut() {
    let mut bytes = Vec::new();
    record::put_front(&mut bytes, 7);
    let mut ends = vec![bytes.len()];
    for (number, length) in [(1_u32, 40_usize), (2, 96), (3, 34)] {
        record::put(&mut bytes, number, &vec![0x33; length]);
        ends.push(bytes.len());
    }
    for cut in 0..=bytes.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        match record::records(&bytes[..cut], 7) {
            Ok(records) => assert_eq!(records.count(), whole - 1, "cut at {cut}"),
            Err(error) => assert_eq!((error, whole), (record::NotASegment::Cut, 0)),
        }
    }
    for place in record::SEGMENT_FRONT_BYTES..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x10;
        let found: Vec<_> = record::records(&damaged, 7).unwrap().collect();
        let before = ends.iter().filter(|end| **end <= place).count() - 1;
        assert_eq!(found.len(), before, "nothing at or behind the damage at {place} counts");
    }
    assert_eq!(record::records(&bytes, 8).unwrap_err(), record::NotASegment::Foreign);
}

#[test]
fn everything_arrives_on_a_calm_day_and_nothing_is_written_to_disk() {
    let mut world = World::new(1);
    for _ in 0..50 {
        world.emit(FrameKind::Event, 20);
        world.settle();
    }
    world.assert_complete();
    assert_eq!(world.records_written(), 0, "accepted before its turn for the disk");
}

#[test]
fn frames_without_verdict_are_stored_and_leave_their_ring() {
    let mut world = World::new(2);
    world.cut();
    world.dialable = false;
    world.emit(FrameKind::Event, 10);
    world.pull(0, 100);
    assert!(world.held_outputs(0) > 0, "neither durable nor accepted");
    for _ in 0..10 {
        world.tick(2_000);
        world.store(0);
        world.stored(0);
    }
    world.pull(0, 0);
    assert_eq!(world.held_outputs(0), 0, "durable");
    assert_eq!(world.records_written(), 10);
    world.dialable = true;
    world.settle();
    world.assert_complete();
}

#[test]
fn a_module_is_not_entered_while_too_much_of_it_waits() {
    let limits = Limits { module_bytes_max: 1000, ..Limits::default() };
    let mut world = World::with_limits(3, limits);
    world.cut();
    world.dialable = false;
    world.emit(FrameKind::Event, 20);
    world.pull(0, 100);
    let node = &mut world.sides[0];
    node.router.enter(node.module, Op::Entry, vec![0, 0], 1).unwrap();
    node.router.enter(node.module, Op::Attest, vec![0; 16], 2).unwrap();
    let mut entered = Vec::new();
    node.router.deliver(node.module, |_, op, _| {
        entered.push(op);
        true
    });
    assert_eq!(entered, [Op::Attest], "control enters, entries wait");
    world.dialable = true;
    world.sides[0].attested_elsewhere();
    world.settle();
    world.deliver(0);
    assert!(world.sides[0].entries >= 1, "entered once there was room");
}

#[test]
fn a_verdict_counts_only_from_the_node_that_the_route_names() {
    let mut world = World::new(4);
    world.settle();
    let side = &mut world.sides[0];
    // Another node, known by a route of its own, claims that channel 0 of its link was accepted.
    let app = side.app;
    let other = Remote::Node { identity: [99; 32], address: String::new() };
    let route = RouteIn { target: side.module, target_row: 0, source: other, deadline: 0, port: 0 };
    side.router.route_in(Time(0), app, 77, route);
    let link = side.router.link_up(&[99; 32], false).unwrap();
    let hello = [&[20_u8, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0][..], &[4; 16]].concat();
    side.router.link_input(Time(0), link, &hello).unwrap();
    let claim = [&[16_u8, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0][..], &[0; 8]].concat();
    assert!(side.router.link_input(Time(0), link, &claim).is_err(), "its link ends");
    world.emit(FrameKind::Event, 5);
    world.settle();
    world.assert_complete();
}

#[test]
fn a_module_that_answers_out_of_order_or_writes_rubbish_is_broken() {
    let mut router = Router::new(Limits::default(), [1; 32], [1; 16]);
    let owner = router.add_owner([9; 32]);
    let app = router.add_application(owner, [7; 16], 1);
    let module = router.module(app, "module");
    router.module_up(module, 1000);
    router.enter(module, Op::Attest, vec![0; 16], 1).unwrap();
    router.enter(module, Op::Attest, vec![0; 16], 2).unwrap();
    router.deliver(module, |_, _, _| true);
    let fine = schedule::output(Status::Accepted, 0, &[]);
    assert!(router.output(Time(0), module, 1, 1001, &fine).is_err(), "1000 comes first");
    assert!(router.output(Time(0), module, 2, 1000, &fine[1..]).is_err());
    assert!(router.output(Time(0), module, 3, 5, &fine).is_ok(), "a call of an earlier daemon is ignored");
    router.module_down(module);
    let outcomes: Vec<_> = std::iter::from_fn(|| router.next_action()).collect();
    let dead = |token| crate::Action::Answer { token, outcome: Outcome::Dead };
    assert_eq!(outcomes, [dead(1), dead(2)], "calls in flight are answered");
}

#[test]
fn an_output_that_nobody_asked_for_is_routed_and_answers_no_call() {
    let mut router = Router::new(Limits::default(), [1; 32], [1; 16]);
    let owner = router.add_owner([9; 32]);
    let app = router.add_application(owner, [7; 16], 1);
    let (driver, other) = (router.module(app, "driver"), router.module(app, "other"));
    router.route_out(app, 5, RouteOut { source: driver, source_row: 0, target: Remote::Here(other) });
    let source = Remote::Here(driver);
    router.route_in(Time(0), app, 5, RouteIn { target: other, target_row: 3, source, deadline: 0, port: 0 });
    router.module_up(driver, 1000);
    router.module_up(other, 1000);
    router.enter(driver, Op::Attest, vec![0; 16], 1).unwrap();
    router.deliver(driver, |_, _, _| true);
    let pressed = schedule::output(Status::Accepted, 0, &[frame(5, FrameKind::Event, 0)]);
    router.output(Time(0), driver, 1, UNASKED, &pressed).unwrap();
    assert_eq!(router.next_action(), None, "the call in flight is still open");
    assert_eq!(router.take_release(), None, "the frame holds the ring until it is stored or accepted");
    let mut entered = Vec::new();
    router.deliver(other, |_, op, input| {
        entered.push((op, input.len()));
        true
    });
    assert_eq!(entered, [(Op::Event, 52)], "routed as any other frame");
    router.output(Time(0), other, 1, 1000, &schedule::output(Status::Accepted, 0, &[])).unwrap();
    let mut releases: Vec<_> = std::iter::from_fn(|| router.take_release()).collect();
    releases.sort_unstable();
    assert_eq!(releases, [(driver, 1), (other, 1)], "accepted: the ring may forget it");
    router.output(Time(0), driver, 2, 1000, &schedule::output(Status::Accepted, 0, &[])).unwrap();
    assert!(matches!(router.next_action(), Some(crate::Action::Answer { token: 1, .. })), "answered in order");
    let figures = router.module_figures(driver);
    assert_eq!((figures.outputs, figures.unasked, figures.emitted), (2, 1, 1));
    assert!(router.output(Time(0), driver, 3, UNASKED, &pressed[1..]).is_err(), "rubbish is rubbish, asked or not");
}

#[test]
fn an_output_that_nobody_asked_for_makes_no_room_for_calls() {
    let mut router = Router::new(Limits::default(), [1; 32], [1; 16]);
    let owner = router.add_owner([9; 32]);
    let app = router.add_application(owner, [7; 16], 1);
    let driver = router.module(app, "driver");
    router.module_up(driver, 0);
    for token in 0..2 {
        router.enter(driver, Op::Attest, vec![0; 16], token).unwrap();
    }
    while router.next_runnable().is_some() {}
    let mut room = 1;
    router.deliver(driver, |_, _, _| core::mem::replace(&mut room, 0) == 1);
    router.output(Time(0), driver, 1, UNASKED, &schedule::output(Status::Accepted, 0, &[])).unwrap();
    assert_eq!(router.next_runnable(), None, "its channel is as full as before");
    router.output(Time(0), driver, 2, 0, &schedule::output(Status::Accepted, 0, &[])).unwrap();
    assert_eq!(router.next_runnable(), Some(driver), "one call came back: there is room again");
}

#[test]
fn frames_that_no_route_names_are_counted_not_kept() {
    let mut router = Router::new(Limits::default(), [1; 32], [1; 16]);
    let owner = router.add_owner([9; 32]);
    let app = router.add_application(owner, [7; 16], 1);
    let (one, two) = (router.module(app, "one"), router.module(app, "two"));
    let target = Remote::Here(two);
    router.route_out(app, 5, RouteOut { source: one, source_row: 0, target });
    router.module_up(two, 0);
    // A module may not speak on another's connection.
    let foreign = schedule::output(Status::Accepted, 0, &[frame(5, FrameKind::Event, 0)]);
    router.output(Time(0), two, 10, u64::MAX, &foreign).unwrap();
    assert_eq!((router.module_figures(two).unrouted, router.totals().waiting), (1, 0));
    assert_eq!(router.take_release(), Some((two, 10)), "its room is free");
}

#[test]
fn schedules_of_cuts_and_crashes_lose_and_repeat_nothing() {
    for seed in 0..schedule::SCHEDULES {
        World::new(seed).run(60);
    }
    for seed in 0..schedule::SCHEDULES / 20 {
        World::new(u64::MAX - seed).run(1000);
    }
}
