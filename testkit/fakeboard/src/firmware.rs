//! Requests, executed as the document says.

use crate::line::Faults;
use std::collections::VecDeque;
use veritee_ids::Status;
use veritee_wire::OutputWriter;
use veritee_wire::layout::EntryResult;
use veritee_wire::output::{FRAME, REPLY};

/// A call that entered a module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Executed {
    /// Of which module.
    pub handle: u8,
    /// Its number.
    pub call: u32,
    /// The operation.
    pub op: u16,
    /// The input.
    pub input: Vec<u8>,
}

#[derive(Debug)]
struct Module {
    handle: u8,
    /// 1 reserved, 2 enabled, 3 driver.
    state: u8,
    vendor: u16,
    text: (u16, u16),
    secret: (u16, u16),
    bytes: Vec<u8>,
    room: usize,
    halted: bool,
}

#[derive(Debug)]
struct Left {
    output: u32,
    call: u32,
    handle: u8,
    bytes: Vec<u8>,
    told: bool,
}

#[derive(Debug)]
pub(crate) struct Firmware {
    pub(crate) faults: Faults,
    pub(crate) executed: Vec<Executed>,
    pub(crate) ring_max: usize,
    boot: u64,
    drivers: u8,
    modules: Vec<Module>,
    ring: VecDeque<Left>,
    next_output: u32,
    last_call: u32,
    /// Sequence number, CRC and response of the last request that was executed.
    last: Option<(u8, u16, Vec<u8>)>,
}

impl Firmware {
    pub(crate) fn new(drivers: u8) -> Self {
        let mut firmware = Self {
            faults: Faults::default(),
            executed: Vec::new(),
            ring_max: 4096,
            boot: 0,
            drivers,
            modules: Vec::new(),
            ring: VecDeque::new(),
            next_output: 1,
            last_call: 0,
            last: None,
        };
        firmware.reset();
        firmware
    }

    pub(crate) fn reset(&mut self) {
        self.boot += 1;
        self.modules.clear();
        self.ring.clear();
        self.executed.clear();
        (self.next_output, self.last_call, self.last) = (1, 0, None);
        for handle in 1..=self.drivers {
            let at = u16::from(handle) * 0x100;
            let (text, secret) = ((0x9000 + at, 0x9100 + at), (0x0300 + at, 0x0310 + at));
            let bytes = Vec::new();
            self.modules.push(Module { handle, state: 3, vendor: 1, text, secret, bytes, room: 320, halted: false });
        }
    }

    /// Whether outputs wait that no call asked for: `true` when the host was not told of one.
    pub(crate) fn asks_attention(&mut self) -> Option<bool> {
        let mut asks = None;
        for left in self.ring.iter_mut().filter(|left| left.call == 0) {
            let news = !std::mem::replace(&mut left.told, true);
            asks = Some(asks.unwrap_or(false) | news);
        }
        asks
    }

    pub(crate) fn press(&mut self, handle: u8, frame: &[u8]) -> u32 {
        let mut bytes = vec![0; 64 + frame.len()];
        let mut writer = OutputWriter::new(&mut bytes).expect("room");
        writer.record(FRAME, frame.len()).expect("room").copy_from_slice(frame);
        let length = writer.finish(accepted());
        bytes.truncate(length);
        self.leave(0, handle, bytes)
    }

    pub(crate) fn halt(&mut self, handle: u8) {
        if let Some(module) = self.module(handle) {
            module.halted = true;
        }
    }

    pub(crate) fn output_numbers(&self) -> Vec<u32> {
        self.ring.iter().map(|left| left.output).collect()
    }

    pub(crate) fn loaded(&self) -> Vec<u8> {
        self.modules.iter().filter(|module| module.state == 2).map(|module| module.handle).collect()
    }

    pub(crate) fn text(&self, handle: u8) -> Vec<u8> {
        let found = self.modules.iter().find(|module| module.handle == handle);
        found.map(|module| module.bytes.clone()).unwrap_or_default()
    }

    fn module(&mut self, handle: u8) -> Option<&mut Module> {
        self.modules.iter_mut().find(|module| module.handle == handle)
    }

    fn leave(&mut self, call: u32, handle: u8, bytes: Vec<u8>) -> u32 {
        let output = self.next_output;
        self.next_output += 1;
        self.ring.push_back(Left { output, call, handle, bytes, told: false });
        output
    }

    fn ring_free(&self) -> usize {
        self.ring_max.saturating_sub(self.ring.iter().map(|left| left.bytes.len()).sum())
    }

    /// Executes a request, unless it is a repeat.
    pub(crate) fn request(&mut self, kind: u8, sequence: u8, payload: &[u8], crc: u16) -> Vec<u8> {
        let harmless = matches!(kind, 0x01 | 0x02 | 0x08 | 0x0a);
        if let Some((last, sum, response)) = &self.last
            && (*last, *sum) == (sequence, crc)
            && !harmless
        {
            return response.clone();
        }
        let response = match self.execute(kind, payload) {
            Ok(rest) => [vec![0, 0], rest].concat(),
            Err(code) => vec![code, 0],
        };
        if !harmless {
            self.last = Some((sequence, crc, response.clone()));
        }
        response
    }

    fn execute(&mut self, kind: u8, payload: &[u8]) -> Result<Vec<u8>, u8> {
        match (kind, payload) {
            (0x01, []) => Ok(self.hello()),
            (0x02, []) => Ok(self.list()),
            (0x03, payload) if payload.len() == 8 => {
                let number = |at: usize| u16::from_le_bytes([payload[at], payload[at + 1]]);
                self.reserve((number(0), number(2)), (number(4), number(6)))
            }
            (0x04, [handle, 0, low, high, bytes @ ..]) => {
                self.write(*handle, usize::from(u16::from_le_bytes([*low, *high])), bytes)
            }
            (0x05, [handle, 0, v0, v1, r0, r1, _, _]) => {
                self.enable(*handle, u16::from_le_bytes([*v0, *v1]), u16::from_le_bytes([*r0, *r1]))
            }
            (0x06, [handle, 0]) => self.unload(*handle),
            (0x07, [handle, 0, c0, c1, c2, c3, o0, o1, input @ ..]) => {
                let call = u32::from_le_bytes([*c0, *c1, *c2, *c3]);
                self.call(*handle, call, u16::from_le_bytes([*o0, *o1]), input)
            }
            (0x08, [o0, o1, o2, o3, p0, p1]) => {
                self.fetch(u32::from_le_bytes([*o0, *o1, *o2, *o3]), u16::from_le_bytes([*p0, *p1]))
            }
            (0x09, &[o0, o1, o2, o3]) => {
                let output = u32::from_le_bytes([o0, o1, o2, o3]);
                self.ring.retain(|left| left.output > output);
                Ok(Vec::new())
            }
            (0x0a, payload) => Ok(payload.to_vec()),
            (0x01..=0x0a, _) => Err(2),
            _ => Err(1),
        }
    }

    fn hello(&self) -> Vec<u8> {
        let mut bytes = vec![1, 0, 1, 0];
        bytes.extend_from_slice(&self.boot.to_le_bytes());
        let free = u8::try_from(HANDLES.saturating_sub(self.modules.len())).unwrap_or(0);
        bytes.extend_from_slice(&[1, 2, 16, free, free, self.drivers]);
        for number in [TEXT.0, TEXT.1, SECRET.0, SECRET.1] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let oldest = self.ring.front().map_or(self.next_output, |left| left.output);
        for number in [self.last_call, oldest, self.next_output] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&u16::try_from(self.ring_free()).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend_from_slice(&512_u16.to_le_bytes());
        bytes
    }

    fn list(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for module in &self.modules {
            bytes.extend_from_slice(&[module.handle, module.state]);
            let id = u16::from(module.handle) + 1;
            let (text, secret) = (module.text, module.secret);
            let room = u16::try_from(module.room).unwrap_or(u16::MAX);
            for number in [id, module.vendor, text.0, text.1, secret.0, secret.1, room] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        bytes
    }

    fn reserve(&mut self, text: (u16, u16), secret: (u16, u16)) -> Result<Vec<u8>, u8> {
        let numbers = [text.0, text.1, secret.0, secret.1];
        if numbers.iter().any(|number| *number == 0 || number % 2 != 0) {
            return Err(2);
        }
        let end = |(start, length): (u16, u16)| start.checked_add(length).ok_or(5_u8);
        let (text, secret) = ((text.0, end(text)?), (secret.0, end(secret)?));
        let inside = |range: (u16, u16), all: (u16, u16)| range.0 >= all.0 && range.1 <= all.1;
        let apart = |one: (u16, u16), other: (u16, u16)| one.1 <= other.0 || other.1 <= one.0;
        let free = self.modules.iter().all(|module| apart(module.text, text) && apart(module.secret, secret));
        if !inside(text, TEXT) || !inside(secret, SECRET) || !free {
            return Err(5);
        }
        let handle = (1..=HANDLES).map(|handle| u8::try_from(handle).unwrap_or(u8::MAX));
        let handle = handle.into_iter().find(|handle| self.modules.iter().all(|known| known.handle != *handle));
        let handle = handle.ok_or(6_u8)?;
        let bytes = vec![0; usize::from(text.1 - text.0)];
        self.modules.push(Module { handle, state: 1, vendor: 0, text, secret, bytes, room: 0, halted: false });
        Ok(vec![handle, 0])
    }

    fn write(&mut self, handle: u8, offset: usize, bytes: &[u8]) -> Result<Vec<u8>, u8> {
        let module = self.module(handle).ok_or(3_u8)?;
        if module.state != 1 {
            return Err(4);
        }
        let place = module.bytes.get_mut(offset..offset + bytes.len()).ok_or(2_u8)?;
        place.copy_from_slice(bytes);
        Ok(Vec::new())
    }

    fn enable(&mut self, handle: u8, vendor: u16, room: u16) -> Result<Vec<u8>, u8> {
        let module = self.module(handle).ok_or(3_u8)?;
        if module.state != 1 {
            return Err(4);
        }
        // An image that begins with these bytes is one that hardware does not like.
        if module.bytes.starts_with(b"refuse") {
            return Err(7);
        }
        (module.state, module.vendor, module.room) = (2, vendor, usize::from(room));
        Ok(vec![handle + 1, 0])
    }

    fn unload(&mut self, handle: u8) -> Result<Vec<u8>, u8> {
        if self.module(handle).ok_or(3_u8)?.state == 3 {
            return Err(4);
        }
        self.modules.retain(|module| module.handle != handle);
        Ok(Vec::new())
    }

    fn call(&mut self, handle: u8, call: u32, op: u16, input: &[u8]) -> Result<Vec<u8>, u8> {
        let free = self.ring_free();
        let last = self.last_call;
        let module = self.module(handle).ok_or(3_u8)?;
        if module.state == 1 {
            return Err(4);
        }
        if call <= last {
            return Err(9);
        }
        if free < module.room {
            return Err(8);
        }
        let halted = module.halted;
        self.last_call = call;
        if halted {
            return Err(11);
        }
        self.executed.push(Executed { handle, call, op, input: input.to_vec() });
        let bytes = echo(input);
        let length = u16::try_from(bytes.len()).map_err(|_| 2_u8)?;
        let output = self.leave(call, handle, bytes.clone());
        let mut response = output.to_le_bytes().to_vec();
        response.extend_from_slice(&length.to_le_bytes());
        response.extend_from_slice(&bytes[..bytes.len().min(CALL_FITS)]);
        Ok(response)
    }

    fn fetch(&self, output: u32, offset: u16) -> Result<Vec<u8>, u8> {
        let left = self.ring.iter().find(|left| left.output >= output).ok_or(10_u8)?;
        let offset = if left.output == output { usize::from(offset).min(left.bytes.len()) } else { 0 };
        let mut response = left.output.to_le_bytes().to_vec();
        response.extend_from_slice(&left.call.to_le_bytes());
        response.extend_from_slice(&[left.handle, 0]);
        for number in [left.bytes.len(), offset] {
            response.extend_from_slice(&u16::try_from(number).map_err(|_| 2_u8)?.to_le_bytes());
        }
        let end = left.bytes.len().min(offset + FETCH_FITS);
        response.extend_from_slice(&left.bytes[offset..end]);
        Ok(response)
    }
}

/// A module's output: accepted, and the input three times over (so that long inputs make long outputs).
fn echo(input: &[u8]) -> Vec<u8> {
    let reply = input.repeat(3);
    let mut bytes = vec![0; 64 + reply.len()];
    let mut writer = OutputWriter::new(&mut bytes).expect("room");
    writer.record(REPLY, reply.len()).expect("room").copy_from_slice(&reply);
    let length = writer.finish(accepted());
    bytes.truncate(length);
    bytes
}

fn accepted() -> EntryResult {
    EntryResult { status: Status::Accepted, reserved: 0, value: 0 }
}

const HANDLES: usize = 6;
const TEXT: (u16, u16) = (0xa000, 0xf000);
const SECRET: (u16, u16) = (0x0800, 0x0c00);
const CALL_FITS: usize = 632;
const FETCH_FITS: usize = 624;
