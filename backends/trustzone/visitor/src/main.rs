//! What tests do inside an emulated machine, as root of its normal world: `visitor CASE`.
//!
//! It holds modules against the suite of all platforms, and does what a hostile Linux could do. It says `ok` and what was seen, a line
//! each; a panic is a failed test. Its files lie beside it: signed images, and the keys that the owner derives for them.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program of tests: what it says is the result")]

mod hostile;
mod memory;
mod subject;

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;
use subject::{Held, Image};
use veritee_conformance::desk::Line;
use veritee_conformance::{Desk, probe, run_all};
use veritee_ids::{FrameKind, Op, Role};

fn main() -> ExitCode {
    let case = std::env::args().nth(1).unwrap_or_default();
    match case.as_str() {
        "conform" => conform("probe"),
        "conform-in-c" => conform("probe-in-c"),
        "refused-images" => hostile::refused_images(),
        "forged-calls" => hostile::forged_calls(),
        "replay-after-reload" => hostile::replay_after_reload(),
        "keep-for-replay" => hostile::keep_for_replay(),
        "replay-after-reboot" => hostile::replay_after_reboot(),
        "secure-memory" => memory::secure_memory(),
        "touch" => touch(),
        "timing" => timing(),
        _ => match case.strip_prefix("evidence-") {
            Some(challenge) => hostile::evidence(challenge.parse().unwrap()),
            None => {
                println!("there is no case {case:?}");
                return ExitCode::FAILURE;
            }
        },
    }
    ExitCode::SUCCESS
}

/// What this program does for itself: `touch HOW ADDRESS`.
fn touch() {
    let words: Vec<String> = std::env::args().skip(2).collect();
    let [how, address] = &words[..] else { panic!("touch what?") };
    memory::touch_here(how, address.parse().unwrap());
}

/// The suite of all platforms.
fn conform(image: &str) {
    let image = Image::read(image);
    for case in run_all(&|| Box::new(subject::Instance::start(&image))) {
        println!("ok {case}");
    }
}

/// How long loading takes, a call that is refused, and an event that is opened, added to a sum, and answered by another event: by the
/// number of them that enter together.
fn timing() {
    const COUNT: u64 = 2048;
    let image = Image::read("probe");
    let start = Instant::now();
    let instance = Rc::new(RefCell::new(subject::Instance::start(&image)));
    println!("ok {} us to load and begin", start.elapsed().as_micros());
    let mut desk = Desk::active(&|| Box::new(Held(Rc::clone(&instance))));
    let lines = [Line::to(probe::ADD, Role::Receiver), Line::to(probe::SUM, Role::Sender)];
    lines.iter().for_each(|line| desk.connect(line));
    let refused = (0..COUNT).map(|_| vec![0; 16]).collect::<Vec<_>>();
    for batch in BATCHES {
        println!("ok {} ns a call in batches of {batch}", each(&instance, Op::Control, &refused, batch));
    }
    for (index, batch) in (0_u64..).zip(BATCHES) {
        let event = |counter| {
            let frame = desk.seal(&lines[0], FrameKind::Event, 1, counter, &1_u32.to_le_bytes());
            [&lines[0].row.0.to_le_bytes()[..], &frame].concat()
        };
        let events: Vec<Vec<u8>> = (index * COUNT..(index + 1) * COUNT).map(event).collect();
        println!("ok {} ns an event in batches of {batch}", each(&instance, Op::Event, &events, batch));
    }
    assert_eq!(desk.status().rows.iter().map(|row| row.next.0).collect::<Vec<_>>(), [3 * COUNT, 3 * COUNT]);
}

const BATCHES: [usize; 3] = [1, 16, 256];

/// Nanoseconds of each input.
fn each(instance: &RefCell<subject::Instance>, op: Op, inputs: &[Vec<u8>], batch: usize) -> u128 {
    let start = Instant::now();
    for some in inputs.chunks(batch) {
        instance.borrow_mut().enter_many(op, some);
    }
    start.elapsed().as_nanos() / inputs.len() as u128
}
