//! The C core on this machine: a program of the core, a module in C and `host/main.c`, one process an activation. What the
//! board's processor does in hardware, [`Processor`] does here, and checks that the core asks for nothing that the hardware
//! cannot do, and never for the same nonce twice.
#![expect(clippy::missing_panics_doc, reason = "test support: a panic is a failed test")]

mod program;

pub use program::{Program, probe};

use std::collections::BTreeSet;
use std::io::{BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use veritee_conformance::Subject;
use veritee_ids::{CipherId, Freshness, Op};
use veritee_session::Kdf;
use veritee_spongent::Key;

static DRAWN: AtomicU64 = AtomicU64::new(1);

/// Room for the output of an entry, as on a board.
pub const ROOM: u16 = 2304;

/// What a Sancus processor does for one module.
#[derive(Debug)]
struct Processor {
    module_key: [u8; 16],
    /// Key and associated data of everything that was sealed with a body: a nonce.
    sealed: BTreeSet<([u8; 16], Vec<u8>)>,
}

/// An activation of a module in C. Its process ends when it is dropped.
#[derive(Debug)]
pub struct CModule {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    processor: Processor,
}

impl CModule {
    /// Starts an activation.
    #[must_use]
    pub fn new(program: &Program) -> Self {
        let mut command = Command::new(program.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let input = child.stdin.take().expect("it has an input");
        let output = BufReader::new(child.stdout.take().expect("it has an output"));
        let processor = Processor { module_key: [0x42; 16], sealed: BTreeSet::new() };
        Self { child, input, output, processor }
    }

    /// Enters the module with any operation, and room for the output.
    pub fn enter_with(&mut self, op: u16, input: &[u8], room: u16) -> Vec<u8> {
        let bytes = u16::try_from(input.len()).expect("a board's input is short");
        let front = [op, bytes, room].map(u16::to_le_bytes);
        self.say(&[front.as_flattened(), input].concat());
        loop {
            match self.hear_byte() {
                b'r' => {
                    let bytes = self.hear_number();
                    assert!(bytes <= usize::from(room), "the module writes beyond its output");
                    return self.hear(bytes);
                }
                b'w' => self.seal(),
                b'u' => self.open(),
                b'f' => self.draw(),
                other => panic!("the module asked {other} of its processor"),
            }
        }
    }

    fn seal(&mut self) {
        let (key, associated, mut body) = self.hear_message();
        if !body.is_empty() {
            assert!(self.processor.sealed.insert((key, associated.clone())), "a nonce was used twice");
        }
        let tag = Key::new(&key).wrap_in_place(&associated, &mut body);
        self.say(&[&[1], body.as_slice(), &tag].concat());
    }

    fn open(&mut self) {
        let (key, associated, mut body) = self.hear_message();
        let tag: [u8; 16] = self.hear(16).try_into().expect("16 bytes");
        assert!(!body.is_empty(), "the hardware cannot open an empty body");
        let opened = Key::new(&key).unwrap_in_place(&associated, &mut body, &tag).is_ok();
        if !opened {
            // The hardware has written something by then.
            body.fill(0xaa);
        }
        self.say(&[&[u8::from(opened)], body.as_slice()].concat());
    }

    /// Key, associated data and body of a request to the processor.
    fn hear_message(&mut self) -> ([u8; 16], Vec<u8>, Vec<u8>) {
        let own = self.hear_byte() == 1;
        let key = if own { self.processor.module_key } else { self.hear(16).try_into().expect("16 bytes") };
        let lengths = [self.hear_number(), self.hear_number()];
        assert!(lengths[0] > 0 && lengths.iter().all(|length| length.is_multiple_of(2)), "{lengths:?}");
        (key, self.hear(lengths[0]), self.hear(lengths[1]))
    }

    fn draw(&mut self) {
        let drawn = u128::from(DRAWN.fetch_add(1, Ordering::Relaxed)).to_le_bytes();
        self.say(&[&Freshness::PersistentCounter.code().to_le_bytes()[..], &drawn].concat());
    }

    fn say(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).and_then(|()| self.input.flush()).expect("the program listens");
    }

    fn hear(&mut self, bytes: usize) -> Vec<u8> {
        let mut heard = vec![0; bytes];
        self.output.read_exact(&mut heard).expect("the program answers");
        heard
    }

    fn hear_byte(&mut self) -> u8 {
        self.hear(1)[0]
    }

    fn hear_number(&mut self) -> usize {
        usize::from(u16::from_le_bytes(self.hear(2).try_into().expect("two bytes")))
    }
}

impl Drop for CModule {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Subject for CModule {
    fn enter(&mut self, op: Op, input: &[u8]) -> Vec<u8> {
        let short = if op == Op::Event { short_form(input) } else { input.to_vec() };
        self.enter_with(op.code(), &short, ROOM)
    }

    fn transcript(&self, evidence: &[u8]) -> Vec<u8> {
        evidence.to_vec()
    }

    fn module_key(&self) -> Option<[u8; 16]> {
        Some(self.processor.module_key)
    }

    fn kdf(&self) -> Kdf {
        Kdf::SpongeWrap
    }

    fn cipher(&self) -> CipherId {
        CipherId::Spongent128
    }

    fn ciphers(&self) -> &'static [CipherId] {
        &[CipherId::Spongent128]
    }

    fn carries(&self, bit: usize) -> bool {
        short_form_carries(bit)
    }
}

/// The input of an event with its full header in the short form, see `docs/design/0007-sancus.md`.
#[must_use]
pub fn short_form(input: &[u8]) -> Vec<u8> {
    let (Some((row, frame)), Some(header)) = (input.split_first_chunk::<2>(), input.get(2..18)) else {
        return input.to_vec();
    };
    let row = u8::try_from(u16::from_le_bytes(*row)).unwrap_or(u8::MAX);
    let kind_and_epoch = header[2] & 3 | header[4] << 2;
    [&[row, kind_and_epoch], &header[8..12], &frame[16..]].concat()
}

/// Whether a bit of a frame with its full header is in the short form.
#[must_use]
pub fn short_form_carries(bit: usize) -> bool {
    match bit / 8 {
        2 => bit % 8 < 2,
        4 => bit % 8 < 6,
        8..12 | 16.. => true,
        _ => false,
    }
}
