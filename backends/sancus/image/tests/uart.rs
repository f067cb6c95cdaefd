//! Whatever comes over the line: a running module keeps its memory and its answers, and the firmware goes on answering.
#![allow(clippy::unwrap_used, reason = "tests")]

mod rig;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rig::line::{self, ACK, BYTE, ENQ, Frame, Host, START};
use rig::{board, image, probe_at};
use veritee_machine::Profile;
use veritee_sancus_image::Linked;

const DERIVE: u16 = 2;
const COUNT: u16 = 6;
const SEAL: u16 = 7;
/// No module has it.
const NOBODY: u8 = 9;
/// The firmware gives up a frame after 250 ms.
const PATIENCE: u64 = 2_100_000;

/// What somebody does to the line.
#[derive(Clone, Debug)]
enum Piece {
    /// Bytes at full speed.
    Noise(Vec<u8>),
    /// A request as the protocol has it, of any content; perhaps cut off, perhaps damaged.
    Request { frame: Frame, bytes: usize, damage: Option<(usize, u8)> },
    /// Silence.
    Pause(u64),
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    // Often what means something.
    let byte = prop_oneof![Just(ENQ), Just(START), 0..12_u8, Just(0), any::<u8>(), any::<u8>()];
    let noise = prop::collection::vec(byte, 1..500).prop_map(Piece::Noise);
    let content =
        prop_oneof![3 => prop::collection::vec(any::<u8>(), 0..40), 1 => prop::collection::vec(any::<u8>(), 0..641)];
    let handle = prop_oneof![0..3_u8, any::<u8>()];
    let damage = prop_oneof![2 => Just(None), 1 => (any::<usize>(), 1..=255_u8).prop_map(Some)];
    let request = (0..14_u8, any::<u8>(), handle, content, any::<prop::sample::Index>(), any::<bool>(), damage);
    let request = request.prop_map(|(kind, sequence, handle, mut payload, cut, whole, damage)| {
        let enters = kind == line::CALL || kind == line::UNLOAD;
        if let Some(first) = payload.first_mut() {
            // Calls and unloads of the module are no attack: the module answers them.
            *first = if enters && handle == 0 { NOBODY } else { handle };
        }
        let frame = Frame { kind, sequence, payload };
        let length = frame.encode().len();
        Piece::Request { frame, bytes: if whole { length } else { cut.index(length) }, damage }
    });
    let pause = (0..PATIENCE).prop_map(Piece::Pause);
    prop::collection::vec(prop_oneof![2 => noise, 4 => request, 1 => pause], 1..10)
}

/// A board with the probe on it, which has a secret and has counted to one.
struct Bench {
    module: Linked,
    quiet: Host,
}

/// What must not change: the module's memory and its place in the hardware.
type Kept = (Vec<u8>, String);

impl Bench {
    fn new() -> Self {
        let plain = image(&[]);
        let module = probe_at(plain.text_free.0, plain.secret_free.0);
        let mut quiet = Host::new(board(Profile::Veritee, &plain));
        assert_eq!(quiet.load(&module, 7, 64, 0).0, 0);
        assert_eq!(quiet.call(0, DERIVE, b"a secret"), (0, b"ok".to_vec()));
        assert_eq!(quiet.call(0, COUNT, &[]), (0, vec![1, 0]));
        Self { module, quiet }
    }

    fn kept(&self, host: &Host) -> Kept {
        let module = &self.module;
        let ranges = [module.text_address..module.text_end(), module.secret_address..module.secret_end()];
        let memory = ranges.into_iter().flatten().map(|address| host.board.memory(address)).collect();
        let slot = host.board.modules().iter().flatten().find(|slot| slot.text.contains(module.text_address));
        (memory, format!("{slot:?}"))
    }

    /// As [`kept`](Self::kept), without the module's own stack and variables, which change when it is entered.
    fn kept_text(&self, host: &Host) -> Kept {
        let (mut memory, slot) = self.kept(host);
        memory.truncate(self.module.text.len());
        (memory, slot)
    }
}

fn disturb(host: &mut Host, piece: &Piece) {
    match piece {
        Piece::Noise(bytes) => host.send(bytes),
        Piece::Request { frame, bytes, damage } => {
            let mut encoded = frame.encode();
            if let Some((place, change)) = damage {
                let length = encoded.len();
                encoded[place % length] ^= change;
            }
            encoded.truncate(*bytes);
            host.send(&[ENQ]);
            while host.byte_within(PATIENCE).is_some_and(|byte| byte != ACK) {}
            host.send(&encoded);
        }
        Piece::Pause(cycles) => _ = host.board.run_until(host.board.cycle() + cycles),
    }
    while host.byte_within(2 * PATIENCE).is_some() {}
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() })
}

#[test]
fn no_bytes_on_the_line_change_a_module() {
    let bench = Bench::new();
    let before = bench.kept(&bench.quiet);
    let outcome = runner(40).run(&pieces(), |pieces| {
        let mut host = bench.quiet.clone();
        for piece in &pieces {
            disturb(&mut host, piece);
        }
        prop_assert_eq!(&bench.kept(&host), &before);
        prop_assert!(host.board.violations().is_empty());
        host.done(line::PING, b"still there?");
        // Calls that came over the line counted, too: the next number is above them.
        let hello = host.done(line::HELLO, &[]);
        let last = u32::from_le_bytes([hello[26], hello[27], hello[28], hello[29]]);
        host.done(line::RELEASE, &u32::MAX.to_le_bytes());
        let mut payload = vec![0, 0];
        payload.extend_from_slice(&(last + 1).to_le_bytes());
        payload.extend_from_slice(&COUNT.to_le_bytes());
        let answer = host.done(line::CALL, &payload);
        prop_assert_eq!(&answer[6..], [2, 0]);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn no_bytes_on_the_line_disturb_a_module_that_runs() {
    let bench = Bench::new();
    let before = bench.kept_text(&bench.quiet);
    let strategy = (prop::collection::vec(any::<u8>(), 2..32), prop::collection::vec(any::<u8>(), 1..400), 0..2 * BYTE);
    let outcome = runner(40).run(&strategy, |(mut input, noise, late)| {
        input.truncate(input.len() & !1);
        let mut payload = vec![0, 0];
        payload.extend_from_slice(&100_u32.to_le_bytes());
        payload.extend_from_slice(&SEAL.to_le_bytes());
        payload.extend_from_slice(&input);
        let frame = Frame { kind: line::CALL, sequence: 200, payload };
        let expected = bench.quiet.clone().exchange(&frame);

        let mut host = bench.quiet.clone();
        host.enquire();
        let bytes = frame.encode();
        let end = host.board.cycle() + 10 + BYTE * u64::try_from(bytes.len()).unwrap();
        host.send(&bytes);
        for (byte, at) in noise.iter().zip(0_u64..) {
            host.board.schedule_byte(end + late + at * BYTE, *byte);
        }
        let response = host.frame().expect("a response");
        prop_assert_eq!(response, expected);
        while host.byte_within(2 * PATIENCE).is_some() {}
        prop_assert_eq!(&bench.kept_text(&host), &before);
        prop_assert!(host.board.violations().is_empty());
        let (code, answer) = host.request(line::PING, b"still there?");
        prop_assert_eq!((code, &answer[..]), (0, &b"still there?"[..]));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_frame_that_stops_is_given_up_after_a_quarter_of_a_second() {
    let mut host = Bench::new().quiet;
    let ping = Frame { kind: line::PING, sequence: 77, payload: vec![1, 2] }.encode();
    // Wherever it stops: before anything came, in its head, before its content, within its CRC.
    for length in [0, 2, 5, ping.len() - 2, ping.len() - 1] {
        host.enquire();
        let start = host.board.cycle();
        host.send(&ping[..length]);
        assert_eq!(host.byte_within(20 * PATIENCE), Some(line::NAK), "after {length} bytes");
        let waited = host.board.cycle() - start - BYTE * u64::try_from(length).unwrap();
        assert!((1_900_000..PATIENCE).contains(&waited), "{} ms after {length} bytes", waited / 8000);
    }
    // A byte that comes a little earlier comes in time.
    host.enquire();
    let start = host.board.cycle();
    for (byte, at) in ping.iter().zip(0_u64..) {
        host.board.schedule_byte(start + 10 + at * 1_600_000, *byte);
    }
    assert_eq!(host.frame().expect("it came in time").payload, [0, 0, 1, 2]);
}
