//! How cycles relate to the time of day.

use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// Cycles a second of the hardware.
pub(crate) const HERTZ: f64 = 8_000_000.0;

/// Cycles in which nobody looks at the outside: a millisecond of the hardware.
const SLICE: u64 = 8_000;

/// Longer than anybody waits.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// A host that is late by more does not hurry after the board's time.
const LATE: Duration = Duration::from_millis(200);

/// Tells the time.
pub(crate) type Clock = Box<dyn Fn() -> Instant>;

/// The pace of a board.
pub(crate) struct Pace {
    clock: Clock,
    /// Cycles a second while it sleeps; and while it works, unless it works as fast as it can.
    hertz: f64,
    hurries: bool,
    start: Instant,
    /// The cycle at `start`.
    first: u64,
    slept: bool,
}

impl Pace {
    /// From the flag `--speed`; hardware's speed without.
    pub(crate) fn parse(speed: Option<&str>, first: u64, clock: Clock) -> Result<Self> {
        let factor = match speed {
            None | Some("max") => 1.0,
            Some(factor) => factor
                .parse()
                .ok()
                .filter(|factor: &f64| factor.is_finite() && (0.001..=1e6).contains(factor))
                .with_context(|| format!("--speed {factor:?} is neither a number from 0.001 on nor \"max\""))?,
        };
        let hurries = speed == Some("max");
        Ok(Self { hertz: HERTZ * factor, hurries, start: clock(), clock, first, slept: false })
    }

    /// Time goes on from here.
    pub(crate) fn resume(&mut self, cycle: u64) {
        self.start = (self.clock)();
        self.first = cycle;
    }

    /// The cycle that it is now.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; saturates")]
    pub(crate) fn now(&self) -> u64 {
        self.first + (self.elapsed().as_secs_f64() * self.hertz) as u64
    }

    fn elapsed(&self) -> Duration {
        (self.clock)().saturating_duration_since(self.start)
    }

    /// The cycle up to which to run. A board that sleeps may wake at `wakes`; from then on it works, and who works is heard
    /// after each slice, however late the host is.
    pub(crate) fn target(&mut self, cycle: u64, sleeps: bool, wakes: u64) -> u64 {
        if self.hurries && sleeps && !self.slept {
            self.resume(cycle);
        }
        self.slept = sleeps;
        match (sleeps, self.hurries) {
            (true, _) => self.now().min(wakes.saturating_add(SLICE)).max(cycle + 1),
            (false, true) => cycle + 20 * SLICE,
            (false, false) => cycle + SLICE,
        }
    }

    /// How long to wait until a cycle is due.
    #[expect(clippy::cast_precision_loss, reason = "exact for 35 years at full speed")]
    pub(crate) fn wait(&mut self, cycle: u64, sleeps: bool) -> Duration {
        if self.hurries && !sleeps {
            return Duration::ZERO;
        }
        if self.hurries && !self.slept {
            self.resume(cycle.min(self.first));
            return Duration::ZERO;
        }
        let cycles = cycle.saturating_sub(self.first) as f64;
        let due = Duration::from_secs_f64((cycles / self.hertz).min(LONG.as_secs_f64()));
        let elapsed = self.elapsed();
        if elapsed > due + LATE && !sleeps {
            self.resume(cycle);
        }
        due.saturating_sub(elapsed)
    }
}
