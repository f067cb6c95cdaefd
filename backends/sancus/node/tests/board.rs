//! Modules on a fake board: loaded, entered, interrupted, adopted, lost.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use support::{IMPATIENT, driver, echo, image, load, need, patient, platform, reserve, until};
use veritee_fakeboard::FakeBoard;
use veritee_host::{HostError, LoadRequest, Platform as _, ReserveRequest, UNASKED};
use veritee_ids::{Op, Status};
use veritee_sancus_format::{Claims, Placed};
use veritee_sancus_node::Patience;

fn reason<T>(outcome: Result<T, HostError>) -> String {
    outcome.err().expect("a refusal").to_string()
}

#[test]
fn a_module_arrives_whole_and_answers_its_calls_in_order() {
    let board = FakeBoard::start(0);
    let platform = platform(&[("kitchen", &board)]);
    let mut module = echo(&platform, &[]);
    assert_eq!(board.loaded().len(), 1);
    assert_eq!(board.text(board.loaded()[0]), vec![0x33; 1500]);
    for call in 0..5 {
        assert!(module.push(call, &[u8::try_from(call).unwrap(); 8]));
    }
    module.hosted.flush();
    let seen = module.pull(5);
    for (call, seen) in (0_u64..).zip(&seen) {
        assert_eq!((seen.call, seen.reply.len(), seen.reply[0]), (call, 24, u8::try_from(call).unwrap()));
    }
    module.hosted.release(seen[4].position);
    until(|| board.outputs().is_empty());
}

#[test]
fn outputs_longer_than_a_frame_come_in_parts() {
    let board = FakeBoard::start(0);
    let platform = platform(&[("kitchen", &board)]);
    let mut module = echo(&platform, &[]);
    let long: Vec<u8> = (0..500_u32).map(|byte| byte.to_le_bytes()[0]).collect();
    module.push(1, &long);
    module.push(2, &[1; 10]);
    module.hosted.flush();
    let seen = module.pull(2);
    assert_eq!(seen[0].reply, long.repeat(3));
    assert_eq!(seen[1].reply, [1; 30]);
}

#[test]
fn an_input_that_no_board_takes_is_refused_in_its_turn() {
    let board = FakeBoard::start(0);
    let platform = platform(&[("kitchen", &board)]);
    let mut module = echo(&platform, &[]);
    module.push(1, &[1; 8]);
    module.push(2, &[2; 600]);
    module.hosted.push(3, Op::Event, &[0; 4]).unwrap();
    module.push(4, &[4; 8]);
    module.hosted.flush();
    let seen: Vec<_> = module.pull(4).into_iter().map(|seen| (seen.call, seen.status)).collect();
    let expected = [(1, Status::Accepted), (2, Status::Refused), (3, Status::Malformed), (4, Status::Accepted)];
    assert_eq!(seen, expected);
    assert_eq!(board.executed().len(), 2);
}

#[test]
fn a_queue_that_is_full_says_so_and_goes_on_when_it_was_worked_off() {
    let board = FakeBoard::start(0);
    let platform = platform(&[("kitchen", &board)]);
    let mut module = echo(&platform, &[]);
    board.unplug();
    let mut pushed = 0;
    while module.push(pushed, &[7]) {
        pushed += 1;
        assert!(pushed < 1000, "somewhere it ends");
    }
    board.plug();
    module.hosted.flush();
    assert_eq!(module.pull(usize::try_from(pushed).unwrap()).len() as u64, pushed);
    assert!(module.push(pushed, &[7]));
}

#[test]
fn a_ring_without_room_stops_calls_until_something_is_released() {
    let board = FakeBoard::start(0);
    // Two outputs of 20 + 8 + 300 bytes fit, as long as 400 are free for the next.
    board.ring_bytes(800);
    let platform = platform(&[("kitchen", &board)]);
    let mut module = echo(&platform, &[]);
    for call in 0..4 {
        module.push(call, &[5; 100]);
    }
    module.hosted.flush();
    let first = module.pull(2);
    // Neither asked for nor given.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(board.executed().len(), 2);
    module.hosted.release(first[0].position);
    module.hosted.release(first[1].position);
    let rest: Vec<_> = module.pull(2).into_iter().map(|seen| seen.call).collect();
    assert_eq!(rest, [2, 3]);
}

#[test]
fn what_a_button_emits_comes_unasked_and_stays_on_the_board_until_it_is_released() {
    let board = FakeBoard::start(1);
    let platform = platform(&[("kitchen", &board)]);
    let mut button = driver(&platform, "button", true).unwrap();
    board.press(1, &[9; 50]);
    button.push(5, &[1]);
    button.hosted.flush();
    board.press(1, &[8; 50]);
    let mut seen = button.pull(3);
    assert!(seen.windows(2).all(|pair| pair[0].position < pair[1].position), "in the order of the ring");
    seen.sort_by_key(|seen| seen.call);
    assert_eq!((seen[0].call, seen[1].call, seen[2].call), (5, UNASKED, UNASKED));
    assert_eq!(seen[1].frames.len() + seen[2].frames.len(), 2);
    assert_eq!(board.outputs().len(), 3);
    let last = seen.iter().map(|seen| seen.position).max().unwrap();
    button.hosted.release(last);
    until(|| board.outputs().is_empty());
}

#[test]
fn a_driver_of_the_board_belongs_to_the_provider_and_to_one_holder() {
    let board = FakeBoard::start(2);
    let platform = platform(&[("kitchen", &board)]);
    assert!(reason(driver(&platform, "button", false).map(drop)).contains("only the provider"));
    let mut held = driver(&platform, "button", true).unwrap();
    assert!(reason(driver(&platform, "button", true).map(drop)).contains("held already"));
    let other = driver(&platform, "driver-2", true).unwrap();
    assert!(reason(driver(&platform, "lamp", true).map(drop)).contains("it has: button, driver-2"));
    held.hosted.end();
    assert_eq!(held.death(), "it was ended");
    drop(held);
    let mut again = driver(&platform, "button", true).unwrap();
    again.push(1, &[3]);
    again.hosted.flush();
    assert_eq!(again.pull(1)[0].reply, [3; 3], "it was not unloaded");
    drop(other);
}

#[test]
fn a_daemon_that_dies_leaves_its_modules_and_the_next_one_gets_every_output_again() {
    let board = FakeBoard::start(1);
    let first = platform(&[("kitchen", &board)]);
    let (one, two) = (echo(&first, &[]), driver(&first, "button", true).unwrap());
    let (mut one, mut two) = (one, two);
    for call in 0..4 {
        one.push(call, &[u8::try_from(call).unwrap()]);
    }
    one.hosted.flush();
    let seen = one.pull(4);
    one.hosted.release(seen[1].position);
    until(|| board.outputs().len() == 2);
    board.press(1, &[4; 40]);
    two.pull(1);
    drop((one.hosted, two.hosted, first));
    board.press(1, &[5; 40]);

    let second = platform(&[("kitchen", &board)]);
    one.hosted = second.adopt(one.folder.path()).unwrap();
    let again = one.pull(2);
    let replies: Vec<_> = again.iter().map(|seen| (seen.call, seen.reply[0])).collect();
    assert_eq!(replies, [(UNASKED, 2), (UNASKED, 3)], "no call of this daemon");
    two.hosted = second.adopt(two.folder.path()).unwrap();
    let frames: Vec<_> = two.pull(2).into_iter().map(|seen| seen.frames[0][0]).collect();
    assert_eq!(frames, [4, 5]);
    one.push(100, &[6]);
    one.hosted.flush();
    assert_eq!(one.pull(1)[0].reply, [6; 3], "it goes on");
    assert!(second.adopt(one.folder.path()).is_err(), "nobody takes over what is held");
}

#[test]
fn a_reset_is_the_end_of_all_modules_and_they_can_be_loaded_again() {
    let board = FakeBoard::start(1);
    let platform = platform(&[("kitchen", &board)]);
    let mut one = echo(&platform, &[]);
    let mut two = driver(&platform, "button", true).unwrap();
    one.push(1, &[1]);
    one.hosted.flush();
    one.pull(1);
    board.reset();
    assert_eq!((one.death().as_str(), two.death().as_str()), ("the board was reset", "the board was reset"));
    assert!(matches!(platform.adopt(one.folder.path()), Err(HostError::NothingToAdopt { .. })));
    let place = one.place.clone();
    drop(one);
    let mut again = load(&platform, place, 400).unwrap();
    again.push(2, &[2]);
    again.hosted.flush();
    assert_eq!(again.pull(1)[0].reply, [2; 3]);
}

#[test]
fn a_board_that_was_reset_while_no_daemon_ran_has_nothing_to_adopt() {
    let board = FakeBoard::start(0);
    let first = platform(&[("kitchen", &board)]);
    let one = echo(&first, &[]);
    drop((one.hosted, first));
    board.reset();
    board.unplug();
    let second = platform(&[("kitchen", &board)]);
    // Nobody knows yet: it may live.
    let mut adopted = second.adopt(one.folder.path()).unwrap();
    board.plug();
    until(|| adopted.death().is_some());
    assert_eq!(adopted.death().unwrap().reason, "the board was reset");
}

#[test]
fn a_board_that_is_unplugged_keeps_its_modules_and_says_what_to_check() {
    let board = FakeBoard::start(0);
    let other = FakeBoard::start(0);
    let platform = platform(&[("kitchen", &board), ("hall", &other)]);
    let mut module = echo(&platform, &[]);
    module.push(1, &[1]);
    module.hosted.flush();
    module.pull(1);
    board.unplug();
    until(|| !platform.boards(&[])[0].trouble.is_empty());
    let [down, up] = &platform.boards(&[])[..] else { panic!("two boards") };
    assert!(down.trouble.contains("the board kitchen at unix:") && down.trouble.contains("check"), "{}", down.trouble);
    assert_eq!((up.trouble.as_str(), up.name.as_str()), ("", "hall"));
    module.push(2, &[2]);
    module.hosted.flush();
    let elsewhere = platform.reserve(&ReserveRequest { board: "hall", need: &need(100, 20), taken: &[] }).unwrap();
    assert!(load(&platform, elsewhere, 400).is_ok(), "the other board is not affected");
    assert!(module.hosted.death().is_none());
    board.plug();
    assert_eq!(module.pull(1)[0].reply, [2; 3]);
    assert_eq!(board.executed().len(), 2);
}

#[test]
fn a_module_that_returns_nothing_is_dead_and_makes_room() {
    let board = FakeBoard::start(0);
    let platform = platform(&[("kitchen", &board)]);
    let mut one = echo(&platform, &[]);
    let mut two = echo(&platform, &[&one.place]);
    board.halt(board.loaded()[0]);
    one.push(1, &[1]);
    one.hosted.flush();
    assert!(one.death().contains("halted"));
    until(|| board.loaded().len() == 1);
    two.push(1, &[1]);
    two.hosted.flush();
    assert_eq!(two.pull(1).len(), 1);
    let place = one.place.clone();
    assert!(load(&platform, place, 400).is_ok());
}

#[test]
fn an_end_unloads_and_the_memory_is_free_again() {
    let board = FakeBoard::start(0);
    let platform = platform(&[("kitchen", &board)]);
    let mut module = echo(&platform, &[]);
    module.push(1, &[1]);
    module.hosted.flush();
    module.pull(1);
    module.hosted.end();
    assert_eq!(module.death(), "it was ended");
    assert!(board.loaded().is_empty());
    until(|| board.outputs().is_empty());
    assert!(load(&platform, module.place.clone(), 400).is_ok());
}

#[test]
fn a_module_that_nobody_claims_makes_room_in_time() {
    let board = FakeBoard::start(1);
    let first = platform(&[("kitchen", &board)]);
    let mut lost = echo(&first, &[]);
    lost.push(1, &[1]);
    lost.hosted.flush();
    lost.pull(1);
    board.press(1, &[1; 40]);
    drop((lost.hosted, first));
    let patience = Patience { claims: std::time::Duration::from_millis(300), ..IMPATIENT };
    let second = patient(&[("kitchen", &board)], patience);
    until(|| board.loaded().is_empty() && board.outputs().is_empty());
    let mut button = driver(&second, "button", true).unwrap();
    board.press(1, &[2; 40]);
    assert_eq!(button.pull(1)[0].frames[0][0], 2);
}

#[test]
fn places_are_disjoint_and_what_is_too_big_is_told_in_bytes() {
    let board = FakeBoard::start(2);
    let platform = platform(&[("kitchen", &board)]);
    let first = reserve(&platform, &need(0x3000, 64), &[]).unwrap();
    let second = reserve(&platform, &need(0x2000, 64), &[&first]).unwrap();
    let (one, two) = (Placed::decode(&first).unwrap(), Placed::decode(&second).unwrap());
    assert_eq!((one.text_address, two.text_address), (0xa000, 0xd000));
    assert_eq!((one.board.as_str(), two.secret_address), ("kitchen", 0x0840));
    let refusal = reason(reserve(&platform, &need(2, 64), &[&first, &second]));
    assert_eq!(refusal, "the module needs 2 bytes of text, the board kitchen has 0 free");
    let refusal = reason(reserve(&platform, &need(2, 2000), &[&second]));
    assert!(refusal.contains("2000 bytes of secrets, the board kitchen has 896 free"), "{refusal}");
    assert!(reason(reserve(&platform, &need(0, 2), &[])).contains("at least two bytes"));
    let elsewhere = platform.reserve(&ReserveRequest { board: "attic", need: &need(2, 2), taken: &[] });
    assert!(reason(elsewhere).contains("no board attic; it has: kitchen"));
    let [report] = &platform.boards(&[&first])[..] else { panic!("one board") };
    let claims = Claims::decode(&report.claims).unwrap();
    assert_eq!((claims.text_free, claims.security, claims.drivers.len()), (0x2000, 128, 2));
    assert!(report.words.contains("drivers: button, driver-2"), "{}", report.words);
}

#[test]
fn an_image_goes_only_where_its_reservation_is() {
    let board = FakeBoard::start(0);
    let platform = platform(&[("kitchen", &board)]);
    let mine = reserve(&platform, &need(100, 20), &[]).unwrap();
    let others = reserve(&platform, &need(100, 20), &[&mine]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bytes = image(&others, 1, 40);
    let request =
        |place| LoadRequest { image: &bytes, directory: folder.path(), label: "thief", place, provider: false };
    assert!(reason(platform.load(&request(&mine)).map(drop)).contains("its reservation is"));
    assert!(reason(platform.load(&request(&[])).map(drop)).contains("no reservation"));
    assert!(reason(platform.load(&LoadRequest { image: b"?", ..request(&mine) }).map(drop)).contains("not an image"));
    assert!(board.loaded().is_empty());
}

#[test]
fn what_the_hardware_refuses_is_refused_and_leaves_nothing() {
    let board = FakeBoard::start(0);
    let platform = platform(&[("kitchen", &board)]);
    let place = reserve(&platform, &need(6, 20), &[]).unwrap();
    let mut bytes = image(&place, 0, 40);
    let text = bytes.len() - 6;
    bytes[text..].copy_from_slice(b"refuse");
    let folder = tempfile::tempdir().unwrap();
    let request = LoadRequest { image: &bytes, directory: folder.path(), label: "odd", place: &place, provider: false };
    assert!(matches!(platform.load(&request), Err(HostError::BadImage { .. })));
    assert!(load(&platform, place, 40).is_ok(), "the memory is free");
}
