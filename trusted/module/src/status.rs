//! What the owner learns: his only trustworthy knowledge of progress.

use crate::table::{Row, Table};
use veritee_ids::{Counter, Epoch, RowIndex};
use veritee_wire::layout::{RowStatus, StatusHead};
use veritee_wire::{Layout, Malformed, Writer};

/// Row index that says "no more rows".
const END: RowIndex = RowIndex(u16::MAX);

/// Writes a page: the head, then as many rows from `first` on as fit into `body`. Gives its length.
pub(crate) fn write_page<const ROWS: usize, const TOKENS: usize>(
    table: &Table<ROWS, TOKENS>,
    mut head: StatusHead,
    first: RowIndex,
    body: &mut [u8],
) -> Result<usize, Malformed> {
    let capacity = body.len().saturating_sub(StatusHead::BYTES) / RowStatus::BYTES;
    head.rows = u16::try_from(table.rows_from(first).take(capacity).count()).unwrap_or(u16::MAX);
    head.next_row = table.rows_from(first).nth(capacity).map_or(END, |(index, _)| index);
    let mut writer = Writer::new(body);
    head.put(&mut writer);
    for (index, row) in table.rows_from(first).take(capacity) {
        row_status(index, row).put(&mut writer);
    }
    writer.finish()
}

fn row_status(index: RowIndex, row: &Row) -> RowStatus {
    let pending = row.pending.as_ref();
    RowStatus {
        row: index,
        connection: row.connection,
        role: row.role,
        cipher: row.cipher,
        state: u16::from(row.key.is_some())
            | u16::from(pending.is_some()) << 1
            | u16::from(row.earlier.is_some()) << 2,
        epoch: row.epoch,
        pending_epoch: pending.map_or(Epoch(0), |(_, pending)| pending.epoch),
        next: row.next,
        closing: pending.map_or(Counter(0), |(closing, _)| *closing),
    }
}
