//! Opens the valve while the tank is not full. It speaks only when it hears: a silent gauge makes a silent controller, and
//! then the valve's board closes the valve by itself.
#![no_std]

use veritee::Payload;

/// The level at which the tank counts as full, of 4095.
const FULL: u16 = 3000;
/// The levels just below, over which the valve closes step by step.
const RAMP: u16 = 500;
/// The valve's position when it is open.
const OPEN: u16 = 255;

/// A sample of the gauge, 0 to 4095.
#[derive(Payload, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// The level.
    pub value: u16,
}

/// A position of the valve: 0 is closed, 255 open.
#[derive(Payload, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// The position.
    pub value: u16,
}

/// Nothing to remember: the level alone decides.
#[derive(Payload, Default)]
pub struct Controller {}

#[veritee::module(movable)]
impl Controller {
    /// Where the valve should be now.
    #[output]
    fn position(position: Position);

    /// The gauge measured.
    #[input]
    fn level(&mut self, mut io: Io<'_>, sample: Sample) {
        io.position(&Position { value: position_at(sample.value) });
    }
}

/// Open below the ramp, closed from [`FULL`] on, straight in between.
fn position_at(level: u16) -> u16 {
    let room = FULL.saturating_sub(level).min(RAMP);
    let position = u32::from(OPEN) * u32::from(room) / u32::from(RAMP);
    u16::try_from(position).unwrap_or(OPEN)
}

#[cfg(test)]
extern crate std;
#[cfg(test)]
mod tests;
