//! The probe: a small module whose ports exercise every rule of the protocol. Written against the core itself, so that
//! the suite also covers what a macro would hide. `c/probe.c` is the same module in C.
#![no_std]

use veritee::{Hasher, Payload};
use veritee_ids::{PortIndex, PortKind, TypeHash};
use veritee_module::{Call, Io, Program, Refusal, ReplyToken};
use veritee_wire::Malformed;
use veritee_wire::ports::{FLAG_LATE, PortInfo};

/// Rows of the probe's table.
pub const ROWS: usize = 12;
/// Tokens that the probe can hold.
pub const TOKENS: usize = 2;
/// Type of all its payloads: a struct with one `u32`.
pub const NUMBER: TypeHash = Hasher::new("Number").field("value", <u32 as Payload>::HASH).finish();

/// Request: asks somebody for a number.
pub const ASK: PortIndex = PortIndex(0);
/// Output: the sum. At most 4 in one activation.
pub const SUM: PortIndex = PortIndex(1);
/// Input: adds to the sum and emits it. Has a `late`.
pub const ADD: PortIndex = PortIndex(2);
/// Handler: answers twice the number at once; refuses 13 with code 7.
pub const DOUBLE: PortIndex = PortIndex(3);
/// Handler: asks on `ASK` and answers what comes back, plus one.
pub const RELAY: PortIndex = PortIndex(4);
/// Entry: asks on `ASK`; the reply is added to the sum, which is emitted; a failure emits `FAILED`.
pub const START: PortIndex = PortIndex(5);
/// Entry: emits the sum as often as its argument says, and responds with the sum.
pub const BURST: PortIndex = PortIndex(6);

/// Emitted when a request of `START` was refused, malformed or aborted.
pub const FAILED: u32 = 0xffff_fff0;
/// Emitted by `late`.
pub const LATE: u32 = 0xffff_fffe;

const fn port(kind: PortKind, name: &'static str, replies: bool, emits_max: u16, flags: u16) -> PortInfo {
    PortInfo {
        kind,
        name,
        payload_name: "Number",
        reply_name: if replies { "Number" } else { "" },
        payload_type: NUMBER,
        reply_type: if replies { NUMBER } else { TypeHash([0; 8]) },
        payload_bytes_max: 4,
        reply_bytes_max: if replies { 4 } else { 0 },
        emits_max,
        flags,
    }
}

/// What an image builder looks for in a module's crate.
#[doc(hidden)]
pub mod __veritee {
    pub type Program = super::Probe;
    pub const ROWS: usize = super::ROWS;
    pub const TOKENS: usize = super::TOKENS;
}

/// The probe's state.
#[derive(Debug, Default)]
pub struct Probe {
    sum: u32,
    held: Option<ReplyToken>,
}

fn number(payload: &[u8]) -> Result<u32, Malformed> {
    payload.try_into().map(u32::from_le_bytes).map_err(|_| Malformed)
}

impl Probe {
    fn add(&mut self, payload: &[u8], io: Io<'_>) -> Result<(), Malformed> {
        self.sum = self.sum.wrapping_add(number(payload)?);
        io.emit(SUM, &self.sum.to_le_bytes());
        Ok(())
    }

    fn handle(&mut self, port: PortIndex, payload: &[u8], token: ReplyToken, io: Io<'_>) -> Result<(), Malformed> {
        let asked = number(payload)?;
        if port == DOUBLE {
            let answer = asked.wrapping_mul(2).to_le_bytes();
            io.answer(token, if asked == 13 { Err(7) } else { Ok(&answer) });
        } else if io.request(ASK, payload) {
            self.held = Some(token);
        } else {
            io.answer(token, Err(1));
        }
        Ok(())
    }

    fn reply(&mut self, outcome: Result<&[u8], Refusal>, io: Io<'_>) -> Result<(), Malformed> {
        // What does not decode comes again as a refusal: nothing may have happened before.
        let outcome = match outcome {
            Ok(bytes) => Ok(number(bytes)?),
            Err(refusal) => Err(refusal),
        };
        if let Some(token) = self.held.take() {
            match outcome {
                Ok(value) => io.answer(token, Ok(&value.wrapping_add(1).to_le_bytes())),
                Err(_) => io.answer(token, Err(2)),
            }
            return Ok(());
        }
        match outcome {
            Ok(value) => {
                self.sum = self.sum.wrapping_add(value);
                io.emit(SUM, &self.sum.to_le_bytes());
            }
            Err(_) => io.emit(SUM, &FAILED.to_le_bytes()),
        }
        Ok(())
    }

    fn entry(&mut self, port: PortIndex, arguments: &[u8], io: Io<'_>) -> Result<(), Malformed> {
        let argument = number(arguments)?;
        if port == START {
            if !io.request(ASK, arguments) {
                io.emit(SUM, &FAILED.to_le_bytes());
            }
            return Ok(());
        }
        for _ in 0..argument {
            io.emit(SUM, &self.sum.to_le_bytes());
        }
        io.respond(&self.sum.to_le_bytes());
        Ok(())
    }
}

impl Program for Probe {
    const PORTS: &'static [PortInfo] = &[
        port(PortKind::Request, "ask", true, 1, 0),
        port(PortKind::Output, "sum", false, 4, 0),
        port(PortKind::Input, "add", false, 0, FLAG_LATE),
        port(PortKind::Handler, "twice", true, 0, 0),
        port(PortKind::Handler, "relay", true, 0, 0),
        port(PortKind::Entry, "start", false, 0, 0),
        port(PortKind::Entry, "burst", true, 0, 0),
    ];
    const STATE_BYTES: usize = 4;

    fn start() -> Self {
        Self::default()
    }

    fn run(&mut self, port: PortIndex, call: Call<'_>, io: Io<'_>) -> Result<(), Malformed> {
        match call {
            Call::Input(payload) => self.add(payload, io),
            Call::Request(payload, token) => self.handle(port, payload, token, io),
            Call::Reply(outcome) => self.reply(outcome, io),
            Call::Entry(arguments) => self.entry(port, arguments, io),
            Call::Late => {
                io.emit(SUM, &LATE.to_le_bytes());
                Ok(())
            }
        }
    }

    fn save(&self, state: &mut [u8]) {
        state.copy_from_slice(&self.sum.to_le_bytes());
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), Malformed> {
        self.sum = number(state)?;
        Ok(())
    }
}
