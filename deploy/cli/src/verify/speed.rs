//! A small benchmark. The big one is `veritee bench`.

use super::conformance::play;
use super::rig::{Rig, load};
use crate::bench::Percentiles;
use crate::bench::cost::round;
use anyhow::{Result, ensure};
use serde::Serialize;
use std::fmt::{Display, Formatter};
use std::time::{Duration, Instant};

/// Requests that are measured, and those before that warm up.
const REQUESTS: u32 = 2000;
const WARM: u32 = 200;
/// Round trips between the modules.
const TRIPS: u32 = 4096;
const PATIENCE: Duration = Duration::from_secs(30);

/// What was measured.
#[derive(Serialize, Clone, Copy, PartialEq, Debug)]
pub(super) struct Speed {
    /// Requests of the owner, one after the other.
    requests: u32,
    requests_per_second: f64,
    /// From the owner to the module and back.
    round_trip_us: Percentiles,
    /// From module to module and back, on the node: mean.
    between_modules_us: f64,
}

impl Display for Speed {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Percentiles { p50, p99 } = self.round_trip_us;
        write!(
            f,
            "{:.0} requests/s, round trip {p50:.0} µs p50, {p99:.0} µs p99; between modules {:.1} µs",
            self.requests_per_second, self.between_modules_us
        )
    }
}

pub(super) async fn measure(rig: &Rig) -> Result<Speed> {
    let mut caller = rig.caller("echo").await?;
    let mut trips = Vec::new();
    let mut start = Instant::now();
    for number in 0..WARM + REQUESTS {
        if number == WARM {
            trips.clear();
            start = Instant::now();
        }
        let asked = Instant::now();
        let reply = caller.request(&load(number.into()), PATIENCE).await?;
        ensure!(reply.is_ok(), "a request was refused");
        trips.push(asked.elapsed().as_secs_f64() * 1e6);
    }
    let seconds = start.elapsed().as_secs_f64();
    let between = play(rig, TRIPS).await?;
    rig.lives().await?;
    Ok(Speed {
        requests: REQUESTS,
        requests_per_second: (f64::from(REQUESTS) / seconds).round(),
        round_trip_us: Percentiles::of(trips),
        between_modules_us: round(between.as_secs_f64() * 1e6 / f64::from(TRIPS)),
    })
}
