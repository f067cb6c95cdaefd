//! The thermostat: turns the heating on and off as the gateway says, and tells what it did.
#![no_std]

use smart_home_messages::Switch;
use veritee::Payload;

/// The heating.
#[derive(Payload, Default)]
pub struct Thermostat {
    heating: Switch,
}

#[veritee::module(movable)]
impl Thermostat {
    /// What the heating does now.
    #[output]
    fn heating(state: Switch);

    /// The gateway commands.
    #[input]
    fn heat(&mut self, mut io: Io<'_>, command: Switch) {
        self.heating = command;
        io.heating(&self.heating);
    }
}

#[cfg(test)]
mod tests;
