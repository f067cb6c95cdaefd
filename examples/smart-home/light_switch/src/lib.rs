//! The light switch: turns the light on and off as the gateway says, and tells what it did.
#![no_std]

use smart_home_messages::Switch;
use veritee::Payload;

/// The light.
#[derive(Payload, Default)]
pub struct LightSwitch {
    lit: Switch,
}

#[veritee::module(movable)]
impl LightSwitch {
    /// What the light does now.
    #[output]
    fn lit(state: Switch);

    /// The gateway commands.
    #[input]
    fn light(&mut self, mut io: Io<'_>, command: Switch) {
        self.lit = command;
        io.lit(&self.lit);
    }
}

#[cfg(test)]
mod tests;
