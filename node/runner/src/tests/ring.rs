//! Rings against a model of them, and against a peer that writes whatever it likes into what both sides share.

use crate::ring::{BODY_BYTES_MAX, CAPACITY, Consumer, Lane, Mapping, NoRoom, Producer, RECORD_HEADER_BYTES};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tempfile::TempDir;

const LANES: [Lane; 2] = [Lane::Calls, Lane::Outputs];
/// Offsets of a lane's head, tail and data, as the module's table says.
const HEADS: [u64; 2] = [64, 192];
const TAILS: [u64; 2] = [128, 256];
const DATA: [u64; 2] = [4096, 4096 + CAPACITY as u64];

/// A ring with the hand of a hostile peer on its file.
struct Shared {
    mapping: Arc<Mapping>,
    file: File,
    _folder: TempDir,
}

impl Shared {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring");
        let mapping = Arc::new(Mapping::create(&path).unwrap());
        let file = File::options().read(true).write(true).open(path).unwrap();
        Self { mapping, file, _folder: folder }
    }

    /// A ring that has carried `cursor` bytes already.
    fn at(lane: usize, cursor: u64) -> Self {
        let shared = Self::new();
        shared.set(HEADS[lane], cursor);
        shared.set(TAILS[lane], cursor);
        shared
    }

    fn set(&self, at: u64, word: u64) {
        self.file.write_all_at(&word.to_le_bytes(), at).unwrap();
    }

    fn producer(&self, lane: usize) -> Producer {
        Producer::new(Arc::clone(&self.mapping), LANES[lane])
    }

    fn consumer(&self, lane: usize) -> Consumer {
        Consumer::new(Arc::clone(&self.mapping), LANES[lane])
    }
}

/// What somebody does with a ring.
#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Pop,
    /// Frees the oldest ones of the records that were read.
    Release(usize),
    /// Both ends are taken over by new processes.
    Adopt,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lengths = prop_oneof![
        4 => 0..64_usize,
        2 => 0..=BODY_BYTES_MAX,
        2 => Just(BODY_BYTES_MAX),
    ];
    let step = prop_oneof![
        5 => lengths.prop_map(Step::Push),
        4 => Just(Step::Pop),
        3 => (1..4_usize).prop_map(Step::Release),
        1 => Just(Step::Adopt),
    ];
    vec(step, 1..80)
}

/// Cursors on both sides of the end of the data, any number of rounds on.
fn cursors() -> impl Strategy<Value = u64> {
    (0..1_u64 << 40, 0..256_u64).prop_map(|(rounds, back)| (rounds + 1) * CAPACITY as u64 - back * 8)
}

fn record_bytes(body: usize) -> usize {
    (RECORD_HEADER_BYTES + body).next_multiple_of(8)
}

fn body(call: u64, length: usize) -> Vec<u8> {
    let seed = call.to_le_bytes()[0];
    (0..length).map(|at| (at % 251) as u8 ^ seed).collect()
}

/// What a ring must do, without the ring.
struct Model {
    shared: Shared,
    lane: usize,
    producer: Producer,
    consumer: Consumer,
    /// Call and length of what was pushed and not released; the first `read` of them were read.
    records: VecDeque<(u64, usize)>,
    read: usize,
    /// Ends of the records that were read.
    ends: VecDeque<u64>,
    calls: u64,
    buffer: Vec<u8>,
}

impl Model {
    fn new(lane: usize, cursor: u64) -> Self {
        let shared = Shared::at(lane, cursor);
        let (producer, consumer) = (shared.producer(lane), shared.consumer(lane));
        Self {
            shared,
            lane,
            producer,
            consumer,
            records: VecDeque::new(),
            read: 0,
            ends: VecDeque::new(),
            calls: 0,
            buffer: vec![0; BODY_BYTES_MAX],
        }
    }

    fn free(&self) -> usize {
        CAPACITY - self.records.iter().map(|(_, length)| record_bytes(*length)).sum::<usize>()
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Push(length) => self.push(length)?,
            Step::Pop => self.pop()?,
            Step::Release(count) => self.release(count),
            Step::Adopt => {
                self.producer = self.shared.producer(self.lane);
                self.consumer = self.shared.consumer(self.lane);
                self.read = 0;
                self.ends.clear();
            }
        }
        prop_assert_eq!(self.producer.room(), self.free());
        prop_assert_eq!(self.consumer.waits(), self.read < self.records.len());
        Ok(())
    }

    fn push(&mut self, length: usize) -> Result<(), TestCaseError> {
        self.calls += 1;
        let fits = record_bytes(length) <= self.free();
        let pushed = self.producer.push(self.calls, 7, &body(self.calls, length));
        prop_assert_eq!(pushed, if fits { Ok(()) } else { Err(NoRoom) });
        if fits {
            self.records.push_back((self.calls, length));
        }
        Ok(())
    }

    fn pop(&mut self) -> Result<(), TestCaseError> {
        let popped = self.consumer.pop(&mut self.buffer);
        let Some((call, length)) = self.records.get(self.read).copied() else {
            prop_assert_eq!(popped, Ok(None));
            return Ok(());
        };
        let record = popped.unwrap().unwrap();
        prop_assert_eq!((record.call, record.tag, record.length), (call, 7, length));
        prop_assert!(self.buffer[..length] == body(call, length), "record {} has another body", call);
        self.read += 1;
        self.ends.push_back(record.end);
        Ok(())
    }

    fn release(&mut self, count: usize) {
        let count = count.min(self.read);
        if let Some(end) = self.ends.drain(..count).next_back() {
            self.consumer.release(end);
        }
        self.records.drain(..count);
        self.read -= count;
    }
}

/// Any word, and those near to where cursors really are.
fn hostile_word() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..64_u64,
        (0..64_u64).prop_map(|back| u64::MAX - back),
        (0..64_u64).prop_map(|back| CAPACITY as u64 - back),
        (0..64_u64).prop_map(|back| (1 << 63) - 32 + back),
    ]
}

/// Reads all that a reader can be made to read: it must come to an end, with nothing longer than it may be.
///
/// Nor may a record reach beyond what the writer said that it wrote: there stands what an earlier round left.
fn drain(consumer: &mut Consumer, head: u64) -> Result<(), TestCaseError> {
    let mut buffer = vec![0; BODY_BYTES_MAX];
    for _ in 0..=CAPACITY / RECORD_HEADER_BYTES {
        match consumer.pop(&mut buffer) {
            Ok(None) | Err(_) => return Ok(()),
            Ok(Some(record)) => {
                prop_assert!(record.length <= BODY_BYTES_MAX && record.end <= head);
                consumer.release(record.end);
            }
        }
    }
    Err(TestCaseError::fail("more records than the ring has room for"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_ring_is_a_queue(lane in 0..2_usize, cursor in cursors(), steps in steps()) {
        let mut model = Model::new(lane, cursor);
        for step in &steps {
            model.step(step)?;
        }
    }

    #[test]
    fn a_full_ring_takes_again_what_was_freed(cursor in cursors(), length in BODY_BYTES_MAX / 8..=BODY_BYTES_MAX) {
        let mut model = Model::new(1, cursor);
        while record_bytes(length) <= model.free() {
            model.push(length)?;
        }
        model.push(BODY_BYTES_MAX)?;
        while model.read < model.records.len() {
            model.pop()?;
        }
        model.release(1);
        model.push(length)?;
        model.step(&Step::Pop)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// The peer changes cursors before this side looks at all, as after a restart of the daemon, and once more later.
    #[test]
    fn a_reader_survives_any_cursors(
        lane in 0..2_usize,
        early in [hostile_word(), hostile_word()],
        late in [hostile_word(), hostile_word()],
        data in vec(any::<u8>(), 0..128),
    ) {
        let shared = Shared::new();
        shared.set(HEADS[lane], early[0]);
        shared.set(TAILS[lane], early[1]);
        let place = early[1] % CAPACITY as u64;
        let data = &data[..data.len().min(CAPACITY - place as usize)];
        shared.file.write_all_at(data, DATA[lane] + place).unwrap();
        let mut consumer = shared.consumer(lane);
        drain(&mut consumer, early[0])?;
        shared.set(HEADS[lane], late[0]);
        shared.set(TAILS[lane], late[1]);
        drain(&mut consumer, late[0])?;
    }

    #[test]
    fn a_reader_survives_any_lengths(
        cursor in cursors(),
        lengths in vec(prop_oneof![any::<u32>(), 0..200_u32, Just(u32::try_from(BODY_BYTES_MAX).unwrap() + 1)], 1..8),
    ) {
        let shared = Shared::at(0, cursor);
        let (mut producer, mut consumer) = (shared.producer(0), shared.consumer(0));
        let mut at = cursor;
        for length in lengths {
            producer.push(1, 2, &[0xaa; 100]).unwrap();
            shared.file.write_all_at(&length.to_le_bytes(), DATA[0] + at % CAPACITY as u64).unwrap();
            at += record_bytes(100) as u64;
        }
        drain(&mut consumer, at)?;
    }

    /// A writer must not write outside its own lane, whatever the reader says about what is free.
    #[test]
    fn a_writer_survives_any_cursors(
        lane in 0..2_usize,
        early in [hostile_word(), hostile_word()],
        tails in vec(hostile_word(), 1..4),
        length in prop_oneof![0..64_usize, Just(BODY_BYTES_MAX)],
    ) {
        let shared = Shared::new();
        shared.set(HEADS[lane], early[0]);
        shared.set(TAILS[lane], early[1]);
        let other = [0x5a; 64];
        let edges = [0, CAPACITY as u64 - 64];
        for edge in edges {
            shared.file.write_all_at(&other, DATA[1 - lane] + edge).unwrap();
        }
        let mut producer = shared.producer(lane);
        for tail in tails {
            let room = producer.room();
            prop_assert!(room <= CAPACITY);
            let pushed = producer.push(1, 2, &vec![0xaa; length]);
            prop_assert_eq!(pushed.is_ok(), record_bytes(length) <= room);
            shared.set(TAILS[lane], tail);
        }
        for edge in edges {
            let mut found = [0; 64];
            shared.file.read_exact_at(&mut found, DATA[1 - lane] + edge).unwrap();
            prop_assert_eq!(found, other, "the other lane was written");
        }
    }

    /// Only ends of records that were read free anything: the daemon's caller gives them back from its own memory.
    #[test]
    fn only_what_was_read_is_released(ends in vec(hostile_word(), 1..8)) {
        let shared = Shared::new();
        let (mut producer, mut consumer) = (shared.producer(0), shared.consumer(0));
        producer.push(1, 2, &[1; 20]).unwrap();
        producer.push(2, 2, &[2; 20]).unwrap();
        let first = consumer.pop(&mut vec![0; BODY_BYTES_MAX]).unwrap().unwrap();
        for end in ends {
            consumer.release(end);
        }
        prop_assert!(producer.room() <= CAPACITY - record_bytes(20), "the second record is not freed");
        let second = consumer.pop(&mut vec![0; BODY_BYTES_MAX]).unwrap().unwrap();
        prop_assert_eq!((first.call, second.call), (1, 2));
    }
}

#[test]
fn rings_of_another_form_are_refused() {
    let shared = Shared::new();
    let path = shared._folder.path().join("ring");
    assert!(Mapping::open(&path).is_ok());
    shared.set(0, u64::from_le_bytes(*b"VTRING00"));
    assert_eq!(Mapping::open(&path).unwrap_err().to_string(), "the ring has another version");
    shared.file.set_len(4096).unwrap();
    assert_eq!(Mapping::open(&path).unwrap_err().to_string(), "the ring has another length");
    assert!(Mapping::create(&path).is_err(), "a ring is never made over another");
}

#[test]
fn last_words_are_one_line_and_no_longer_than_their_place() {
    let shared = Shared::new();
    assert_eq!(shared.mapping.last_words(), None);
    for length in [1, 3, 4, 5, 1019, 1020] {
        let words = "x".repeat(length);
        shared.mapping.leave_words(&words);
        assert_eq!(shared.mapping.last_words(), Some(words));
    }
    shared.mapping.leave_words(&"y".repeat(5000));
    assert_eq!(shared.mapping.last_words(), Some("y".repeat(1020)));
    shared.mapping.leave_words("two\nlines");
    assert_eq!(shared.mapping.last_words(), Some("two lines".to_owned()));
    // A length beyond the place, written by a hostile runner.
    shared.file.write_all_at(&u32::MAX.to_le_bytes(), 512).unwrap();
    assert!(shared.mapping.last_words().unwrap().len() <= 3 * 1020);
}
