//! A light that changes with every press of a button, and answers its owner.
#![no_std]

use veritee::Payload;

/// One press, as the button says it: the same name and the same layout make it the same type.
#[derive(Payload, Clone, Copy, PartialEq, Debug)]
pub struct Press {
    /// The first press of a button has number 1.
    pub number: u32,
}

/// The question how the light is.
#[derive(Payload, Clone, Copy, PartialEq, Debug)]
pub struct Question {}

/// How the light is.
#[derive(Payload, Clone, Copy, PartialEq, Debug, Default)]
pub struct Light {
    /// Presses seen so far.
    pub presses: u32,
    /// It shines.
    pub on: bool,
}

/// The light.
#[derive(Payload, Default)]
pub struct Led {
    light: Light,
}

#[veritee::module(movable)]
impl Led {
    /// The button was pressed.
    #[input]
    fn toggle(&mut self, _io: Io<'_>, _press: Press) {
        self.light = Light { presses: self.light.presses.wrapping_add(1), on: !self.light.on };
    }

    /// Only the owner asks: nobody else has the key of a connection to this handler.
    #[handler]
    fn state(&mut self, _io: &mut Io<'_>, _question: Question) -> Light {
        self.light
    }
}

#[cfg(test)]
mod tests;
