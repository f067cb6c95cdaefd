//! Whatever the line does to bytes: as long as the board lives, every call enters once and in order, and every output
//! arrives once and in order, over crashes of the daemon too.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use proptest::prelude::*;
use std::time::Duration;
use support::{driver, echo, platform};
use veritee_fakeboard::{FakeBoard, Faults};
use veritee_host::{Platform as _, UNASKED};

const CALLS: u64 = 30;
/// A call that only tells where the end is.
const PROBE: [u8; 1] = [1];

/// One life of a line: calls are numbered from 1, frames of the button too.
fn live(faults: Faults, crash_after: usize, long: bool) -> Result<(), TestCaseError> {
    let board = FakeBoard::start(1);
    // This test releases late: room for all that it lets wait.
    board.ring_bytes(32_000);
    let first = platform(&[("kitchen", &board)]);
    let mut module = echo(&first, &[]);
    let mut button = driver(&first, "button", true).unwrap();
    board.faults(faults);
    let input = |call: u64| {
        let mut input = vec![0x5a; if long { 230 } else { 9 }];
        input[..8].copy_from_slice(&call.to_le_bytes());
        input
    };
    let mut pressed = 0_u8;
    let mut answered = Vec::new();
    let mut frames = Vec::new();
    let mut platform = Some(first);
    let mut lives = 0_u64;
    while answered.len() < usize::try_from(CALLS).unwrap() {
        let next = answered.len() as u64;
        // Some at once, as a daemon does.
        let batch = (CALLS - next).min(6);
        for call in next..next + batch {
            prop_assert!(module.push((lives << 32) | call, &input(call)));
        }
        module.hosted.flush();
        pressed += 1;
        board.press(1, &[pressed; 40]);
        for seen in module.pull(usize::try_from(batch).unwrap()) {
            prop_assert_eq!(seen.call, (lives << 32) | answered.len() as u64, "in order");
            prop_assert_eq!(&seen.reply, &input(answered.len() as u64).repeat(3), "unchanged");
            answered.push(seen.position);
            module.hosted.release(seen.position);
        }
        let seen = button.pull(1).remove(0);
        prop_assert_eq!(seen.call, UNASKED);
        frames.push(seen.frames[0][0]);
        button.hosted.release(seen.position);
        if answered.len() >= crash_after && lives == 0 {
            lives = 1;
            // Killed: what was released but not told stays on the board, and comes again.
            drop((module.hosted, button.hosted, platform.take()));
            let second = support::platform(&[("kitchen", &board)]);
            module.hosted = second.adopt(module.folder.path()).unwrap();
            button.hosted = second.adopt(button.folder.path()).unwrap();
            platform = Some(second);
            again(&mut module, Some(&answered))?;
            again(&mut button, None)?;
        }
    }
    let entered = board.executed().into_iter().map(|executed| executed.input);
    let entered: Vec<Vec<u8>> = entered.filter(|input| *input != PROBE).collect();
    prop_assert_eq!(entered, (0..CALLS).map(input).collect::<Vec<_>>(), "each once, in order");
    prop_assert_eq!(frames, (1..=pressed).collect::<Vec<_>>());
    Ok(())
}

/// What an adopted module gives first was given before: outputs that the board had not been told to forget.
fn again(module: &mut support::Module, before: Option<&[u64]>) -> Result<(), TestCaseError> {
    // A further call is behind all of them.
    let mut last = 0;
    module.push(u64::from(u32::MAX), &PROBE);
    module.hosted.flush();
    loop {
        let seen = module.pull(1).remove(0);
        prop_assert!(seen.position > last);
        last = seen.position;
        module.hosted.release(seen.position);
        if seen.call == u64::from(u32::MAX) {
            return Ok(());
        }
        prop_assert_eq!(seen.call, UNASKED);
        prop_assert!(before.is_none_or(|before| before.contains(&seen.position)));
    }
}

fn faults() -> impl Strategy<Value = Faults> {
    let rate = || prop_oneof![2 => Just(0_u64), 1 => 500..2500_u64];
    let response = || prop_oneof![2 => Just(0_u64), 1 => 4..15_u64];
    let delay = prop_oneof![Just(20_u64), Just(200), Just(700)];
    (any::<u64>(), rate(), rate(), rate(), (response(), delay), response(), response()).prop_map(
        |(seed, lost, flipped, garbage, (delayed, delay), swallowed, doubled)| Faults {
            seed,
            lost,
            flipped,
            garbage,
            delayed,
            delay: Duration::from_millis(delay),
            swallowed,
            doubled,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn calls_and_outputs_are_exactly_once_and_in_order(
        faults in faults(), crash_after in prop_oneof![1..25_usize, Just(1000)], long in any::<bool>(),
    ) {
        live(faults, crash_after, long)?;
    }
}
