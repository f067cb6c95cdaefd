//! The host's end of the serial line, as `docs/design/0008-serial-line.md` has it.

use veritee_machine::{Board, Stop};

/// Cycles of a byte: ten bits of 69 cycles.
pub(crate) const BYTE: u64 = 690;
/// After so many cycles without ACK the host asks again: 300 ms.
const ENQUIRY: u64 = 2_400_000;
/// The longest that a test waits for a response.
const PATIENCE: u64 = 30_000_000;

pub(crate) const ENQ: u8 = 0x05;
pub(crate) const ACK: u8 = 0x06;
pub(crate) const NAK: u8 = 0x15;
pub(crate) const START: u8 = 0xa5;

pub(crate) const HELLO: u8 = 1;
pub(crate) const LIST: u8 = 2;
pub(crate) const RESERVE: u8 = 3;
pub(crate) const WRITE: u8 = 4;
pub(crate) const ENABLE: u8 = 5;
pub(crate) const UNLOAD: u8 = 6;
pub(crate) const CALL: u8 = 7;
pub(crate) const FETCH: u8 = 8;
pub(crate) const RELEASE: u8 = 9;
pub(crate) const PING: u8 = 10;

/// A frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) sequence: u8,
    pub(crate) payload: Vec<u8>,
}

/// CRC-16/CCITT-FALSE, bit by bit.
pub(crate) fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc: u16, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 })
    })
}

impl Frame {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let length = u16::try_from(self.payload.len()).unwrap();
        let mut bytes = vec![START, self.kind, self.sequence];
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&self.payload);
        let crc = crc(&bytes[1..]);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }
}

/// A host and its board.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) board: Board,
    sequence: u8,
    call: u32,
}

impl Host {
    pub(crate) fn new(board: Board) -> Self {
        Self { board, sequence: 0, call: 0 }
    }

    /// Puts bytes on the line at full speed, from now on.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let start = self.board.cycle() + 10;
        for (byte, at) in bytes.iter().zip(0u64..) {
            self.board.schedule_byte(start + at * BYTE, *byte);
        }
    }

    /// The next byte of the board, if it sends one in so many cycles.
    pub(crate) fn byte_within(&mut self, cycles: u64) -> Option<u8> {
        let limit = self.board.cycle() + cycles;
        loop {
            if let Some((_, _, byte)) = self.board.take_byte(0) {
                return Some(byte);
            }
            if self.board.cycle() >= limit {
                return None;
            }
            let step = limit.min(self.board.cycle() + BYTE);
            if self.board.run_until(step) == Stop::Asleep {
                return self.board.take_byte(0).map(|(_, _, byte)| byte);
            }
        }
    }

    fn byte(&mut self) -> u8 {
        self.byte_within(PATIENCE).expect("the board says something")
    }

    /// A frame of the board; what comes before is skipped, but not NAK.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        loop {
            match self.byte() {
                START => break,
                NAK => return None,
                _ => {}
            }
        }
        let mut bytes: Vec<u8> = (0..4).map(|_| self.byte()).collect();
        let length = u16::from_le_bytes([bytes[2], bytes[3]]);
        bytes.extend((0..length).map(|_| self.byte()).collect::<Vec<_>>());
        let sum = [self.byte(), self.byte()];
        assert_eq!(crc(&bytes), u16::from_le_bytes(sum), "the board's CRC");
        Some(Frame { kind: bytes[0], sequence: bytes[1], payload: bytes[4..].to_vec() })
    }

    fn skip(&mut self, bytes: usize) {
        for _ in 0..bytes {
            self.byte();
        }
    }

    /// Asks for the line, again and again.
    pub(crate) fn enquire(&mut self) {
        for _ in 0..10 {
            self.send(&[ENQ]);
            while let Some(byte) = self.byte_within(ENQUIRY) {
                match byte {
                    ACK => return,
                    // Attention: the rest of that frame.
                    START => self.skip(6),
                    other => panic!("{other:#04x} for ENQ"),
                }
            }
        }
        panic!("no answer to ENQ; the board is at {:x?}", self.board.registers());
    }

    /// Sends a frame and gives the response.
    pub(crate) fn exchange(&mut self, frame: &Frame) -> Frame {
        self.enquire();
        self.send(&frame.encode());
        let response = self.frame().expect("a response, not NAK");
        assert_eq!((response.kind, response.sequence), (frame.kind | 0x80, frame.sequence));
        response
    }

    /// A request; gives the code and what follows it.
    pub(crate) fn request(&mut self, kind: u8, payload: &[u8]) -> (u8, Vec<u8>) {
        self.sequence = self.sequence.wrapping_add(1);
        let response = self.exchange(&Frame { kind, sequence: self.sequence, payload: payload.to_vec() });
        assert_eq!(response.payload[1], 0);
        (response.payload[0], response.payload[2..].to_vec())
    }

    /// A request that must be done.
    pub(crate) fn done(&mut self, kind: u8, payload: &[u8]) -> Vec<u8> {
        let (code, rest) = self.request(kind, payload);
        assert_eq!(code, 0, "code of request {kind}");
        rest
    }

    /// Loads a module; its handle and the hardware's id.
    pub(crate) fn load(
        &mut self, module: &veritee_sancus_image::Linked, vendor: u16, room: u16, poll: u16,
    ) -> (u8, u16) {
        let text_bytes = u16::try_from(module.text.len()).unwrap();
        let place = [module.text_address, text_bytes, module.secret_address, module.secret_bytes];
        let handle = self.done(RESERVE, &words(&place))[0];
        for (chunk, offset) in module.text.chunks(600).zip((0u16..).step_by(600)) {
            let mut payload = vec![handle, 0];
            payload.extend_from_slice(&offset.to_le_bytes());
            payload.extend_from_slice(chunk);
            self.done(WRITE, &payload);
        }
        let mut payload = vec![handle, 0];
        payload.extend_from_slice(&words(&[vendor, room, poll]));
        let id = self.done(ENABLE, &payload);
        (handle, u16::from_le_bytes([id[0], id[1]]))
    }

    /// Calls a module; the code, and the output if there is one.
    pub(crate) fn call(&mut self, handle: u8, op: u16, input: &[u8]) -> (u8, Vec<u8>) {
        self.call += 1;
        let mut payload = vec![handle, 0];
        payload.extend_from_slice(&self.call.to_le_bytes());
        payload.extend_from_slice(&op.to_le_bytes());
        payload.extend_from_slice(input);
        let (code, rest) = self.request(CALL, &payload);
        if code != 0 {
            return (code, rest);
        }
        let number = rest[..4].to_vec();
        let length = usize::from(u16::from_le_bytes([rest[4], rest[5]]));
        assert_eq!(rest.len() - 6, length.min(632));
        self.done(RELEASE, &number);
        (code, rest[6..].to_vec())
    }
}

/// Words as bytes.
pub(crate) fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
