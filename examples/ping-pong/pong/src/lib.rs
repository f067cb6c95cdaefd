//! The other side of the table: returns every ball.
#![no_std]

use veritee::Payload;

/// A ball on its way.
#[derive(Payload, Clone, Copy, PartialEq, Debug)]
pub struct Ball {
    /// The first ball has number 1.
    pub number: u32,
}

/// The player who returns.
#[derive(Payload, Default)]
pub struct Pong {}

#[veritee::module(movable)]
impl Pong {
    /// The ball flies back.
    #[output]
    fn pong(ball: Ball);

    /// A ball arrives.
    #[input]
    fn ping(&mut self, mut io: Io<'_>, ball: Ball) {
        io.pong(&ball);
    }
}

#[cfg(test)]
mod tests;
