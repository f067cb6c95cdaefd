//! Bytes on the serial line: three signs and frames (`docs/design/0008-serial-line.md`).

/// The host wants to send.
pub(crate) const ENQ: u8 = 0x05;
/// The board listens.
pub(crate) const ACK: u8 = 0x06;
/// The frame came damaged or late.
pub(crate) const NAK: u8 = 0x15;
const START: u8 = 0xa5;
/// Largest payload, both ways.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 640;
/// Start, kind, sequence number, length.
const FRONT_BYTES: usize = 5;
const CRC_BYTES: usize = 2;
/// Set in the kind of a response.
pub(crate) const RESPONSE: u8 = 0x80;

/// CRC-16/CCITT-FALSE.
pub(crate) fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            },
        )
    })
}

/// A frame's bytes.
///
/// # Panics
/// When the payload is longer than [`PAYLOAD_BYTES_MAX`].
pub(crate) fn encode(kind: u8, sequence: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() <= PAYLOAD_BYTES_MAX, "whoever makes a request knows how long it may be");
    let length = u16::try_from(payload.len()).expect("it is at most 640");
    let mut bytes = vec![START, kind, sequence];
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(&crc(&bytes[1..]).to_le_bytes());
    bytes
}

/// What was heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    Ack,
    Nak,
    Frame { kind: u8, sequence: u8, payload: Vec<u8> },
}

/// Finds signs and frames in what comes in; skips everything else. A damaged frame is skipped byte by byte: a good one
/// that begins inside of it is found.
#[derive(Debug, Default)]
pub(crate) struct Ear {
    bytes: Vec<u8>,
    /// What looked like a frame was none, since this was last cleared.
    pub(crate) ruined: bool,
}

impl Ear {
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next sign or whole frame.
    pub(crate) fn next(&mut self) -> Option<Heard> {
        let mut skipped = 0;
        let heard = loop {
            match look(self.bytes.get(skipped..).unwrap_or_default()) {
                Look::Heard(heard, length) => {
                    skipped += length;
                    break Some(heard);
                }
                Look::Skip => skipped += 1,
                Look::Ruin => {
                    self.ruined = true;
                    skipped += 1;
                }
                Look::Wait => break None,
            }
        };
        self.bytes.drain(..skipped);
        heard
    }

    /// The line was silent for so long that no frame can still be going on: what looks like the beginning of one is none.
    pub(crate) fn silence(&mut self) {
        if !self.bytes.is_empty() {
            self.bytes.remove(0);
            self.ruined = true;
        }
    }

    /// Whether the beginning of a frame waits for more.
    pub(crate) const fn waits(&self) -> bool {
        !self.bytes.is_empty()
    }
}

enum Look {
    Heard(Heard, usize),
    Skip,
    Ruin,
    Wait,
}

fn look(bytes: &[u8]) -> Look {
    match bytes.first() {
        None => return Look::Wait,
        Some(&ACK) => return Look::Heard(Heard::Ack, 1),
        Some(&NAK) => return Look::Heard(Heard::Nak, 1),
        Some(&START) => {}
        Some(_) => return Look::Skip,
    }
    let Some(&[_, kind, sequence, low, high]) = bytes.first_chunk::<FRONT_BYTES>() else { return Look::Wait };
    let length = usize::from(u16::from_le_bytes([low, high]));
    if length > PAYLOAD_BYTES_MAX {
        return Look::Skip;
    }
    let end = FRONT_BYTES + length;
    let Some(behind) = bytes.get(end..end + CRC_BYTES) else { return Look::Wait };
    if behind != crc(&bytes[1..end]).to_le_bytes() {
        return Look::Ruin;
    }
    Look::Heard(Heard::Frame { kind, sequence, payload: bytes[FRONT_BYTES..end].to_vec() }, end + CRC_BYTES)
}
