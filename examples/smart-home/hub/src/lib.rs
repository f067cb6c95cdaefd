//! The hub: takes commands from the owner over a direct connection, and tells him how the home is.
#![no_std]

use smart_home_messages::{Command, Query, Status};
use veritee::Payload;

/// What the hub knows.
#[derive(Payload, Default)]
pub struct Hub {
    status: Status,
}

#[veritee::module(movable)]
impl Hub {
    /// How the owner wants the home, for the gateway.
    #[output]
    fn settings(command: Command);

    /// The owner commands.
    #[input]
    fn command(&mut self, mut io: Io<'_>, command: Command) {
        io.settings(&command);
    }

    /// The gateway reports.
    #[input]
    fn status(&mut self, _io: Io<'_>, status: Status) {
        self.status = status;
    }

    /// The owner asks.
    #[handler]
    fn query(&mut self, _io: &mut Io<'_>, _query: Query) -> Status {
        self.status
    }
}

#[cfg(test)]
mod tests;
