//! A client of the database: stores by events, reads by requests.
#![no_std]

use db_messages::{Key, Record};
use veritee::{Payload, Refusal};

/// What came of a look-up.
#[derive(Payload, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Outcome {
    /// None was made, or its answer is not there yet.
    #[default]
    Waiting = 0,
    /// The record is there.
    Found = 1,
    /// The database has no such record.
    NotFound = 2,
    /// Nobody answered: no connection, or the owner ended the wait.
    Failed = 3,
}

/// The question for the result of the last look-up.
#[derive(Payload, Clone, Copy, PartialEq, Debug)]
pub struct Question {}

/// The result of the last look-up.
#[derive(Payload, Clone, Copy, PartialEq, Debug, Default)]
pub struct Answer {
    /// What came of it.
    pub outcome: Outcome,
    /// Keeps the record at an even offset.
    pub reserved: u8,
    /// The record, if it was found.
    pub record: Record,
}

/// The client.
#[derive(Payload, Default)]
pub struct Client {
    last: Answer,
}

#[veritee::module(movable)]
impl Client {
    /// Stores a record in the database.
    #[output]
    fn store(record: Record);

    /// Asks the database for a record.
    #[request]
    fn lookup(key: Key) -> Record;

    /// Stores a record.
    #[entry(public)]
    fn put(&mut self, mut io: Io<'_>, record: Record) {
        io.store(&record);
    }

    /// Looks a record up. A request ends the function; it goes on in `found`.
    #[entry(public)]
    fn get(&mut self, io: Io<'_>, key: Key) {
        let outcome = if io.lookup(&key).is_ok() { Outcome::Waiting } else { Outcome::Failed };
        self.last = Answer { outcome, ..Answer::default() };
    }

    /// The database has answered.
    #[reply(lookup)]
    fn found(&mut self, _io: Io<'_>, outcome: Result<Record, Refusal>) {
        self.last = match outcome {
            Ok(record) => Answer { outcome: Outcome::Found, record, ..Answer::default() },
            Err(Refusal::Refused(_)) => Answer { outcome: Outcome::NotFound, ..Answer::default() },
            Err(Refusal::Malformed | Refusal::Aborted) => Answer { outcome: Outcome::Failed, ..Answer::default() },
        };
    }

    /// The result of the last look-up, for the owner: what an entry responds, anybody could read.
    #[handler]
    fn last(&mut self, _io: &mut Io<'_>, _question: Question) -> Answer {
        self.last
    }
}

#[cfg(test)]
mod tests;
