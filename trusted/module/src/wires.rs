//! What a handler does to the world, sealed and counted.

use crate::program::{ReplyToken, Wires};
use crate::table::Table;
use veritee_ids::limits::FRAME_HEADER_BYTES;
use veritee_ids::{ApplicationHandle, Counter, Epoch, FrameKind, PortIndex, Role, RowIndex};
use veritee_seal::{Aead, Nonce};
use veritee_wire::frame::frame_bytes;
use veritee_wire::layout::Frame;
use veritee_wire::output::{FRAME, REPLY};
use veritee_wire::{Layout, Malformed, OutputWriter};

/// First field of a reply's body.
pub(crate) mod outcome {
    pub(crate) const VALUE: u16 = 0;
    pub(crate) const MALFORMED: u16 = 1;
    /// The handler's own code is added.
    pub(crate) const REFUSED: u16 = 2;
}

/// The request on which this module waits.
#[derive(Clone, Copy)]
pub(crate) struct OpenRequest {
    pub(crate) row: RowIndex,
    pub(crate) port: PortIndex,
    pub(crate) epoch: Epoch,
    pub(crate) counter: Counter,
}

/// One run of a handler.
pub(crate) struct Activation<'a, 'o, K, const ROWS: usize, const TOKENS: usize> {
    pub(crate) table: &'a mut Table<K, ROWS, TOKENS>,
    pub(crate) output: &'a mut OutputWriter<'o>,
    pub(crate) request: &'a mut Option<OpenRequest>,
    /// The handler emitted more than it declared: the module halts.
    pub(crate) overrun: bool,
}

/// A frame's number under its key.
pub(crate) fn nonce(header: &Frame) -> Nonce {
    Nonce { counter: header.counter, direction: header.direction() }
}

impl<K: Aead, const ROWS: usize, const TOKENS: usize> Activation<'_, '_, K, ROWS, TOKENS> {
    /// Seals a payload under the row's next counter. `None` when the row has no epoch, or the output no room.
    fn emit_on(&mut self, index: RowIndex, kind: FrameKind, payload: &[u8]) -> Option<Frame> {
        let row = self.table.row_mut(index)?;
        let (Some(key), Some(next)) = (&row.key, row.next.next()) else {
            self.table.unconnected = self.table.unconnected.saturating_add(1);
            return None;
        };
        let header = Frame { connection: row.connection, kind, epoch: row.current.epoch, counter: row.next };
        if put_frame(self.output, key, row.application, &header, [&[], payload]).is_err() {
            self.overrun = true;
            return None;
        }
        row.next = next;
        Some(header)
    }

    /// Answers a request under the key of the epoch in which it came, then forgets the key if nothing else waits for it.
    pub(crate) fn reply(&mut self, token: &ReplyToken, code: u16, payload: &[u8]) {
        let Some((index, epoch, counter)) = self.table.spend_token(token) else { return };
        if let Some(row) = self.table.row(index).filter(|row| row.role == Role::Handler)
            && let Some(key) = row.reply_key(epoch)
        {
            let header = Frame { connection: row.connection, kind: FrameKind::Reply, epoch, counter };
            let written = put_frame(self.output, &key, row.application, &header, [&code.to_le_bytes(), payload]);
            self.overrun |= written.is_err();
        }
        self.table.settle(index);
    }
}

impl<K: Aead, const ROWS: usize, const TOKENS: usize> Wires for Activation<'_, '_, K, ROWS, TOKENS> {
    fn emit(&mut self, port: PortIndex, payload: &[u8]) {
        let mut row = self.table.next_of(port, 0);
        if row.is_none() {
            self.table.unconnected = self.table.unconnected.saturating_add(1);
        }
        while let Some(index) = row {
            self.emit_on(index, FrameKind::Event, payload);
            row = self.table.next_of(port, usize::from(index.0) + 1);
        }
    }

    fn request(&mut self, port: PortIndex, payload: &[u8]) -> bool {
        let row = self.table.next_of(port, 0).filter(|_| self.request.is_none());
        let sent = row.and_then(|row| Some((row, self.emit_on(row, FrameKind::Request, payload)?)));
        if let Some((row, Frame { epoch, counter, .. })) = sent {
            *self.request = Some(OpenRequest { row, port, epoch, counter });
        }
        sent.is_some()
    }

    fn answer(&mut self, token: ReplyToken, outcome: Result<&[u8], u16>) {
        match outcome {
            Ok(payload) => self.reply(&token, outcome::VALUE, payload),
            Err(code) => self.reply(&token, code.saturating_add(outcome::REFUSED), &[]),
        }
    }

    fn respond(&mut self, payload: &[u8]) {
        match self.output.record(REPLY, payload.len()) {
            Ok(body) => body.copy_from_slice(payload),
            Err(Malformed) => self.overrun = true,
        }
    }
}

/// Writes a frame: header, the parts of the body padded to even length and sealed in place, tag.
fn put_frame(
    output: &mut OutputWriter<'_>, key: &impl Aead, application: ApplicationHandle, header: &Frame, parts: [&[u8]; 2],
) -> Result<(), Malformed> {
    let length = parts[0].len() + parts[1].len();
    let frame = output.record(FRAME, frame_bytes(length))?;
    let (front, rest) = frame.split_first_chunk_mut::<FRAME_HEADER_BYTES>().ok_or(Malformed)?;
    let (body, tag) = rest.split_last_chunk_mut().ok_or(Malformed)?;
    *front = header.bytes();
    let (place, padding) = body.split_at_mut_checked(length).ok_or(Malformed)?;
    let (first, second) = place.split_at_mut_checked(parts[0].len()).ok_or(Malformed)?;
    first.copy_from_slice(parts[0]);
    second.copy_from_slice(parts[1]);
    padding.fill(0);
    *tag = key.seal(nonce(header), &header.associated(application), body);
    Ok(())
}
