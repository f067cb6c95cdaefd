//! A small database: the latest records, in memory that only this module can read.
#![no_std]

use db_messages::{Key, NOT_FOUND, Record};

/// Most records that are kept. A new key beyond that replaces the oldest record.
pub const RECORDS_MAX: usize = 32;

/// The records.
#[derive(Default)]
pub struct Database {
    records: [Option<Record>; RECORDS_MAX],
    /// Where the next new key goes.
    next: usize,
}

#[veritee::module]
impl Database {
    /// Stores a record, or replaces the one with the same key.
    #[input]
    fn store(&mut self, _io: Io<'_>, record: Record) {
        let known = self.records.iter().position(|kept| kept.is_some_and(|kept| kept.key == record.key));
        let place = known.unwrap_or(self.next);
        if known.is_none() {
            self.next = (self.next + 1) % RECORDS_MAX;
        }
        if let Some(kept) = self.records.get_mut(place) {
            *kept = Some(record);
        }
    }

    /// Finds the record with a key.
    #[handler]
    fn get(&mut self, _io: &mut Io<'_>, wanted: Key) -> Result<Record, u16> {
        self.records.iter().flatten().find(|record| record.key == wanted).copied().ok_or(NOT_FOUND)
    }
}

#[cfg(test)]
mod tests;
