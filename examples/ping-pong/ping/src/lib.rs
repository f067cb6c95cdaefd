//! One side of the table: serves, and plays until enough balls came back.
#![no_std]

use veritee::Payload;

/// A ball on its way.
#[derive(Payload, Clone, Copy, PartialEq, Debug)]
pub struct Ball {
    /// The first ball has number 1.
    pub number: u32,
}

/// How long a game is.
#[derive(Payload, Clone, Copy, PartialEq, Debug)]
pub struct Game {
    /// Balls that must come back.
    pub balls: u32,
}

/// The question how the game stands.
#[derive(Payload, Clone, Copy, PartialEq, Debug)]
pub struct Question {}

/// How the game stands.
#[derive(Payload, Clone, Copy, PartialEq, Debug, Default)]
pub struct Score {
    /// Balls that came back.
    pub returned: u32,
    /// Balls of the whole game; 0 before the first one.
    pub balls: u32,
}

/// The player who serves.
#[derive(Payload, Default)]
pub struct Ping {
    score: Score,
}

#[veritee::module(movable)]
impl Ping {
    /// The ball flies to the other side.
    #[output]
    fn ping(ball: Ball);

    /// Starts a game. One that is running goes on undisturbed.
    #[entry(public)]
    fn start(&mut self, mut io: Io<'_>, game: Game) {
        if self.score.returned == self.score.balls && game.balls > 0 {
            self.score = Score { returned: 0, balls: game.balls };
            io.ping(&Ball { number: 1 });
        }
    }

    /// The ball is back.
    #[input]
    fn pong(&mut self, mut io: Io<'_>, ball: Ball) {
        self.score.returned = ball.number;
        if ball.number < self.score.balls {
            io.ping(&Ball { number: ball.number + 1 });
        }
    }

    /// How the game stands, for the owner.
    #[handler]
    fn score(&mut self, _io: &mut Io<'_>, _question: Question) -> Score {
        self.score
    }
}

#[cfg(test)]
mod tests;
