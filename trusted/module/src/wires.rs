//! What a handler emits: sealed frames in the output area.

use crate::program::{ReplyToken, Wires};
use crate::table::Table;
use veritee_ids::limits::FRAME_HEADER_BYTES;
use veritee_ids::{ApplicationHandle, Counter, Epoch, FrameKind, PortIndex, Role, RowIndex};
use veritee_seal::{AeadKey, Nonce};
use veritee_wire::frame::frame_bytes;
use veritee_wire::layout::Frame;
use veritee_wire::{Layout, Malformed, OutputWriter};

/// First field of a reply's body: what kind of outcome follows.
pub(crate) mod outcome {
    /// A value follows.
    pub(crate) const VALUE: u16 = 0;
    /// The request did not decode.
    pub(crate) const MALFORMED: u16 = 1;
    /// Refusal codes of the handler are moved up by this.
    pub(crate) const REFUSED: u16 = 2;
}

/// The request that this module waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OpenRequest {
    pub(crate) row: RowIndex,
    pub(crate) port: PortIndex,
    pub(crate) epoch: Epoch,
    pub(crate) counter: Counter,
}

/// One activation of a handler: the table that it emits through and the area that it emits into.
pub(crate) struct Activation<'a, 'o, const ROWS: usize, const TOKENS: usize> {
    pub(crate) table: &'a mut Table<ROWS, TOKENS>,
    pub(crate) output: &'a mut OutputWriter<'o>,
    pub(crate) request: &'a mut Option<OpenRequest>,
    /// The handler emitted more than its port table says: the module must halt.
    pub(crate) overrun: &'a mut bool,
}

impl<const ROWS: usize, const TOKENS: usize> Activation<'_, '_, ROWS, TOKENS> {
    /// Seals and writes one frame on a row that emits. The counter moves here and nowhere else.
    fn emit_on(&mut self, index: RowIndex, kind: FrameKind, payload: &[u8]) -> Option<Frame> {
        let row = self.table.row_mut(index)?;
        let (Some(key), Some(next)) = (&row.key, row.next.next()) else {
            self.table.unconnected = self.table.unconnected.saturating_add(1);
            return None;
        };
        let header = Frame { connection: row.connection, kind, epoch: row.epoch, counter: row.next };
        if put_frame(self.output, key, row.application, &header, [&[], payload]).is_err() {
            *self.overrun = true;
            return None;
        }
        row.next = next;
        Some(header)
    }
}

impl<const ROWS: usize, const TOKENS: usize> Wires for Activation<'_, '_, ROWS, TOKENS> {
    fn emit(&mut self, port: PortIndex, payload: &[u8]) {
        let mut row = self.table.first_of(port);
        if row.is_none() {
            self.table.unconnected = self.table.unconnected.saturating_add(1);
        }
        while let Some(index) = row {
            self.emit_on(index, FrameKind::Event, payload);
            row = self.table.next_of(index);
        }
    }

    fn request(&mut self, port: PortIndex, payload: &[u8]) -> bool {
        let row = self.table.first_of(port).filter(|_| self.request.is_none());
        let sent = row.and_then(|row| Some((row, self.emit_on(row, FrameKind::Request, payload)?)));
        if let Some((row, header)) = sent {
            *self.request = Some(OpenRequest { row, port, epoch: header.epoch, counter: header.counter });
        }
        sent.is_some()
    }

    fn answer(&mut self, token: ReplyToken, outcome: Result<&[u8], u16>) {
        let (code, payload) = match outcome {
            Ok(payload) => (outcome::VALUE, payload),
            Err(code) => (code.saturating_add(outcome::REFUSED), &[][..]),
        };
        self.reply(&token, code, payload);
    }

    fn respond(&mut self, payload: &[u8]) {
        let written = self.output.reply(payload.len(), |body| {
            body.copy_from_slice(payload);
            Ok(())
        });
        *self.overrun |= written.is_err();
    }
}

impl<const ROWS: usize, const TOKENS: usize> Activation<'_, '_, ROWS, TOKENS> {
    /// Answers a request: the reply to request n has counter n, under the backward key of the request's epoch.
    /// A token is spent once, so that no counter occurs twice.
    pub(crate) fn reply(&mut self, token: &ReplyToken, code: u16, payload: &[u8]) {
        let Some((index, epoch, counter)) = self.table.spend_token(token) else { return };
        let reply = self
            .table
            .row(index)
            .filter(|row| row.role == Role::Handler)
            .and_then(|row| Some((row.reply_key(epoch)?, row.application, row.connection)));
        if let Some((key, application, connection)) = reply {
            let header = Frame { connection, kind: FrameKind::Reply, epoch, counter };
            let written = put_frame(self.output, &key, application, &header, [&code.to_le_bytes(), payload]);
            *self.overrun |= written.is_err();
        }
        self.table.settle(index);
    }
}

/// Writes one frame: header, body (`parts`, zero-padded), tag. Sealed in place, in private memory.
fn put_frame(
    output: &mut OutputWriter<'_>,
    key: &AeadKey,
    application: ApplicationHandle,
    header: &Frame,
    parts: [&[u8]; 2],
) -> Result<(), Malformed> {
    let length = parts[0].len() + parts[1].len();
    output.frame(frame_bytes(length), |bytes| {
        let Some((front, rest)) = bytes.split_first_chunk_mut::<FRAME_HEADER_BYTES>() else { return };
        let Some((body, tag)) = rest.split_last_chunk_mut() else { return };
        let written = header.encode(front);
        debug_assert!(written.is_ok(), "the header has its own length");
        let (place, padding) = body.split_at_mut(length);
        let (first, second) = place.split_at_mut(parts[0].len());
        first.copy_from_slice(parts[0]);
        second.copy_from_slice(parts[1]);
        padding.fill(0);
        let nonce = Nonce { counter: header.counter, direction: header.direction() };
        *tag = key.seal(nonce, &header.associated(application), body);
    })
}
