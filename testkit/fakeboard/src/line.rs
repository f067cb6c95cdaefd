//! The line of a fake board, with faults.

use crate::Shared;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What the line does to bytes, both ways: one in so many bytes, or requests; 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Where randomness begins.
    pub seed: u64,
    /// A byte is lost.
    pub lost: u64,
    /// A bit of a byte is flipped.
    pub flipped: u64,
    /// A random byte comes before a byte.
    pub garbage: u64,
    /// A response comes only after [`delay`](Self::delay).
    pub delayed: u64,
    /// How late a delayed response is.
    pub delay: Duration,
    /// A response is not sent at all.
    pub swallowed: u64,
    /// A response comes twice.
    pub doubled: u64,
}

impl Faults {
    fn roll(&mut self, sides: u64) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides.max(1)
    }

    fn happens(&mut self, one_in: u64) -> bool {
        one_in > 0 && self.roll(one_in) == 0
    }

    /// What becomes of bytes on the way.
    fn carry(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut carried = Vec::new();
        for byte in bytes {
            if self.happens(self.garbage) {
                carried.push(self.roll(256).to_le_bytes()[0]);
            }
            if self.happens(self.lost) {
                continue;
            }
            let flip = if self.happens(self.flipped) { 1 << self.roll(8) } else { 0 };
            carried.push(byte ^ flip);
        }
        carried
    }
}

/// A whole frame.
struct Request {
    kind: u8,
    sequence: u8,
    payload: Vec<u8>,
    crc: u16,
}

struct Line<'a> {
    stream: UnixStream,
    shared: &'a Shared,
    waiting: Vec<u8>,
}

/// Serves one connection until it ends.
pub(crate) fn serve(stream: UnixStream, shared: &Shared) {
    let mut line = Line { stream, shared, waiting: Vec::new() };
    let mut attended = Instant::now();
    while line.turn(&mut attended).is_ok() {}
}

impl Line<'_> {
    /// Between two activities: attention, or an enquiry.
    fn turn(&mut self, attended: &mut Instant) -> io::Result<()> {
        let asks = self.shared.firmware().asks_attention();
        if asks == Some(true) || (asks == Some(false) && attended.elapsed() > ATTENTION_PERIOD) {
            *attended = Instant::now();
            self.say(&frame(ATTENTION, 0, &[]))?;
        }
        if self.byte(IDLE)? != Some(ENQ) {
            return Ok(());
        }
        self.say(&[ACK])?;
        match self.frame()? {
            Some(request) => self.execute(&request),
            None => self.say(&[NAK]),
        }
    }

    fn execute(&mut self, request: &Request) -> io::Result<()> {
        let Request { kind, sequence, payload, crc } = request;
        let (response, swallowed, delay, doubled) = {
            let mut firmware = self.shared.firmware();
            let response = firmware.request(*kind, *sequence, payload, *crc);
            let faults = &mut firmware.faults;
            let delay = faults.happens(faults.delayed).then_some(faults.delay);
            (response, faults.happens(faults.swallowed), delay, faults.happens(faults.doubled))
        };
        if let Some(delay) = delay {
            std::thread::sleep(delay);
        }
        let bytes = frame(*kind | 0x80, *sequence, &response);
        if !swallowed {
            self.say(&bytes)?;
        }
        if doubled { self.say(&bytes) } else { Ok(()) }
    }

    /// A frame after ACK; `None` when it is damaged or late.
    fn frame(&mut self) -> io::Result<Option<Request>> {
        loop {
            match self.byte(GAP)? {
                None => return Ok(None),
                Some(ENQ) => self.say(&[ACK])?,
                Some(0xa5) => break,
                Some(_) => {}
            }
        }
        let mut bytes = Vec::new();
        let mut wanted = 4;
        while bytes.len() < wanted {
            let Some(byte) = self.byte(GAP)? else { return Ok(None) };
            bytes.push(byte);
            if bytes.len() == 4 {
                let length = usize::from(u16::from_le_bytes([bytes[2], bytes[3]]));
                if length > 640 {
                    return Ok(None);
                }
                wanted = 4 + length + 2;
            }
        }
        let (body, end) = bytes.split_at(wanted - 2);
        let sum = crc(body);
        if end != sum.to_le_bytes() {
            return Ok(None);
        }
        Ok(Some(Request { kind: body[0], sequence: body[1], payload: body[4..].to_vec(), crc: sum }))
    }

    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        let carried = self.shared.firmware().faults.carry(bytes);
        self.stream.write_all(&carried)
    }

    /// The next byte; `None` when none comes in time.
    fn byte(&mut self, patience: Duration) -> io::Result<Option<u8>> {
        let end = Instant::now() + patience;
        while self.waiting.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut bytes = [0; 256];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.waiting = self.shared.firmware().faults.carry(&bytes[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(self.waiting.remove(0)))
    }
}

fn frame(kind: u8, sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xa5, kind, sequence];
    bytes.extend_from_slice(&u16::try_from(payload.len()).expect("a short payload").to_le_bytes());
    bytes.extend_from_slice(payload);
    let sum = crc(&bytes[1..]);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

/// CRC-16/CCITT-FALSE, a byte at a time (not as the driver computes it).
fn crc(bytes: &[u8]) -> u16 {
    let mut crc: u16 = 0xffff;
    for byte in bytes {
        let mut x = (crc >> 8) ^ u16::from(*byte);
        x ^= x >> 4;
        crc = (crc << 8) ^ (x << 12) ^ (x << 5) ^ x;
    }
    crc
}

const ENQ: u8 = 0x05;
const ACK: u8 = 0x06;
const NAK: u8 = 0x15;
const ATTENTION: u8 = 0x40;
const IDLE: Duration = Duration::from_millis(5);
/// The real one waits 250 ms; a fake one has a fast line.
const GAP: Duration = Duration::from_millis(25);
const ATTENTION_PERIOD: Duration = Duration::from_millis(100);
