//! A button: whoever calls its entry presses it.
#![no_std]

use veritee::Payload;

/// One press.
#[derive(Payload, Clone, Copy, PartialEq, Debug)]
pub struct Press {
    /// The first press of this button has number 1.
    pub number: u32,
}

/// The button's memory.
#[derive(Payload, Default)]
pub struct Button {
    presses: u32,
}

#[veritee::module(movable)]
impl Button {
    /// The button was pressed.
    #[output]
    fn pressed(press: Press);

    /// Anybody may press: the node's people, or a timer.
    #[entry(public)]
    fn press(&mut self, mut io: Io<'_>) {
        self.presses = self.presses.wrapping_add(1);
        io.pressed(&Press { number: self.presses });
    }
}

#[cfg(test)]
mod tests;
