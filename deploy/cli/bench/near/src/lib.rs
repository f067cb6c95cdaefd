//! The near side: floods, and plays ping-pong against the clock.
#![no_std]

use messages::{BURST, Clock, Count, Load, PAGE, TRIPS, Trips, ticks};

/// Numbers of events, and the round trips of the last game.
pub struct Near {
    flooded: u64,
    left: u32,
    trips: u64,
    sent_at: u64,
    ticks: [u32; TRIPS],
}

impl Default for Near {
    fn default() -> Self {
        Self { flooded: 0, left: 0, trips: 0, sent_at: 0, ticks: [0; TRIPS] }
    }
}

#[veritee::module]
impl Near {
    #[output(emits = 512)]
    fn flood(load: Load);

    #[output]
    fn ping(load: Load);

    /// Emits a burst.
    #[entry(public)]
    fn burst(&mut self, mut io: Io<'_>, count: Count) {
        for _ in 0..count.count.min(BURST) {
            io.flood(&Load::new(self.flooded));
            self.flooded += 1;
        }
    }

    /// Begins a game.
    #[entry(public)]
    fn serve(&mut self, mut io: Io<'_>, count: Count) {
        if self.left == 0 && count.count > 0 {
            self.left = count.count;
            self.sent_at = ticks();
            io.ping(&Load::new(self.trips));
        }
    }

    /// The ball is back.
    #[input]
    fn pong(&mut self, mut io: Io<'_>, load: Load) {
        let now = ticks();
        let place = usize::try_from(load.number).unwrap_or(0) % TRIPS;
        self.ticks[place] = u32::try_from(now.wrapping_sub(self.sent_at)).unwrap_or(u32::MAX);
        self.trips += 1;
        self.left -= 1;
        if self.left > 0 {
            self.sent_at = ticks();
            io.ping(&Load::new(self.trips));
        }
    }

    /// The processor's clock, and how far the game is.
    #[entry(public)]
    fn clock(&mut self, _io: &mut Io<'_>) -> Clock {
        Clock { ticks: ticks(), trips: self.trips }
    }

    /// A page of round trips.
    #[entry(public)]
    fn page(&mut self, _io: &mut Io<'_>, page: Count) -> Trips {
        let first = usize::try_from(page.count).unwrap_or(0) * PAGE % TRIPS;
        let mut trips = [0; PAGE];
        trips.copy_from_slice(&self.ticks[first..first + PAGE]);
        Trips { ticks: trips }
    }
}
