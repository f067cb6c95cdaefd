//! A line that damages, drops and invents bytes: nothing happens twice, nothing happens to a module, and the line recovers.
#![allow(clippy::unwrap_used, reason = "tests")]

mod rig;

use rig::line::{self, ACK, ENQ, Frame, Host, NAK, START};
use rig::{board, image, probe_at};
use veritee_machine::Profile;

const COUNT: u16 = 6;

/// Numbers that look random; from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    /// What a bad line makes of bytes: each is hit once in `rarity`.
    fn damage(&mut self, bytes: &[u8], rarity: u64) -> Vec<u8> {
        let mut arrived = Vec::new();
        for byte in bytes {
            match self.roll(3 * rarity) {
                0 => arrived.push(byte ^ 1 << self.roll(8)),
                1 => {}
                2 => arrived.extend([u8::try_from(self.roll(256)).unwrap(), *byte]),
                _ => arrived.push(*byte),
            }
        }
        arrived
    }
}

/// A host that repeats until it has its response.
struct Patient {
    host: Host,
    dice: Dice,
    rarity: u64,
}

impl Patient {
    /// A byte of the board, unless the line drops or damages it.
    fn byte(&mut self, patience: u64) -> Option<u8> {
        let byte = self.host.byte_within(patience)?;
        let arrived = self.dice.damage(&[byte], self.rarity);
        arrived.last().copied().or_else(|| self.byte(patience))
    }

    /// A frame, if one arrives whole.
    fn frame(&mut self) -> Option<Frame> {
        loop {
            match self.byte(24_000_000)? {
                START => break,
                NAK => return None,
                _ => {}
            }
        }
        let mut bytes = Vec::new();
        for _ in 0..4 {
            bytes.push(self.byte(800_000)?);
        }
        let length = u16::from_le_bytes([bytes[2], bytes[3]]);
        if length > 640 {
            return None;
        }
        for _ in 0..length {
            bytes.push(self.byte(800_000)?);
        }
        let sum = u16::from_le_bytes([self.byte(800_000)?, self.byte(800_000)?]);
        let whole = line::crc(&bytes) == sum;
        whole.then(|| Frame { kind: bytes[0], sequence: bytes[1], payload: bytes[4..].to_vec() })
    }

    fn try_once(&mut self, frame: &Frame) -> Option<Frame> {
        let enquiry = self.dice.damage(&[ENQ], self.rarity);
        self.host.send(&enquiry);
        while self.byte(2_400_000)? != ACK {}
        let bytes = self.dice.damage(&frame.encode(), self.rarity);
        self.host.send(&bytes);
        self.frame().filter(|response| response.kind == frame.kind | 0x80 && response.sequence == frame.sequence)
    }

    /// A response, after however many attempts.
    fn exchange(&mut self, frame: &Frame) -> (Frame, usize) {
        (1..200).find_map(|attempt| Some((self.try_once(frame)?, attempt))).expect("the line recovers")
    }
}

fn patient(seed: u64, rarity: u64) -> Patient {
    let plain = image(&[]);
    let module = probe_at(plain.text_free.0, plain.secret_free.0);
    let mut host = Host::new(board(Profile::Veritee, &plain));
    host.load(&module, 7, 64, 0);
    Patient { host, dice: Dice(seed), rarity }
}

fn count(number: u32) -> Vec<u8> {
    let mut payload = vec![0, 0];
    payload.extend_from_slice(&number.to_le_bytes());
    payload.extend_from_slice(&COUNT.to_le_bytes());
    payload
}

#[test]
fn every_call_happens_once_on_a_bad_line() {
    for seed in 1..=2 {
        let mut patient = patient(seed, 60);
        let mut attempts = 0;
        for number in 1..=40u16 {
            let sequence = u8::try_from(number).unwrap();
            let frame = Frame { kind: line::CALL, sequence, payload: count(u32::from(number)) };
            let (response, tried) = patient.exchange(&frame);
            assert_eq!(response.payload[..2], [0, 0]);
            assert_eq!(response.payload[8..], number.to_le_bytes(), "seed {seed}");
            attempts += tried;
            let output = response.payload[2..6].to_vec();
            patient.exchange(&Frame { kind: line::RELEASE, sequence: sequence | 0x80, payload: output });
        }
        assert!(attempts > 45, "the line was bad: {attempts} attempts");
    }
}

#[test]
fn random_bytes_do_nothing_to_a_module() {
    for seed in 11..=13 {
        let mut patient = patient(seed, u64::MAX / 4);
        for _ in 0..20 {
            let length = 1 + patient.dice.roll(700);
            let mut noise = Vec::new();
            for _ in 0..length {
                // Often what means something.
                noise.push(match patient.dice.roll(6) {
                    0 => ENQ,
                    1 => START,
                    2 => u8::try_from(patient.dice.roll(12)).unwrap(),
                    3 => 0,
                    _ => u8::try_from(patient.dice.roll(256)).unwrap(),
                });
            }
            patient.host.send(&noise);
            while patient.host.byte_within(4_000_000).is_some() {}
        }
        let (response, _) = patient.exchange(&Frame { kind: line::CALL, sequence: 1, payload: count(1) });
        assert_eq!(response.payload[8..], [1, 0], "seed {seed}");
        assert!(patient.host.board.violations().is_empty());
    }
}

#[test]
fn requests_of_random_content_do_nothing_to_a_module() {
    let mut patient = patient(21, u64::MAX / 4);
    for sequence in 0..400u16 {
        let kind = u8::try_from(patient.dice.roll(13)).unwrap();
        let length = patient.dice.roll(if sequence % 8 == 0 { 641 } else { 24 });
        let mut payload: Vec<u8> = (0..length).map(|_| u8::try_from(patient.dice.roll(256)).unwrap()).collect();
        // Mostly handles and call numbers that exist; but the module is neither unloaded nor told to end itself.
        for (at, byte) in payload.iter_mut().enumerate() {
            match at {
                0 if kind == line::UNLOAD => *byte |= 1,
                0 => *byte &= 3,
                3..6 if kind == line::CALL => *byte = 0,
                6 if kind == line::CALL => *byte = [1, 6][usize::from(*byte & 1)],
                7 if kind == line::CALL => *byte = 0,
                _ => {}
            }
        }
        let sequence = sequence.to_le_bytes()[0];
        let (response, attempts) = patient.exchange(&Frame { kind, sequence, payload });
        assert_eq!((response.payload[1], attempts), (0, 1));
    }
    patient.host.done(line::RELEASE, &u32::MAX.to_le_bytes());
    let hello = patient.host.done(line::HELLO, &[]);
    let last = u32::from_le_bytes([hello[26], hello[27], hello[28], hello[29]]);
    let (code, _) = patient.host.request(line::CALL, &count(last + 1));
    assert_eq!(code, 0);
    assert!(patient.host.board.violations().is_empty());
}
