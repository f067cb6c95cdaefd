//! What a node and its modules must do.

use super::report::{Checks, Kind};
use super::rig::{Rig, load};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// Requests, events one way, round trips between modules.
const REQUESTS: u64 = 64;
const EVENTS: u32 = 512;
const TRIPS: u32 = 256;
/// How long events may take that are under way.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn run(rig: &Rig, checks: &mut Checks<'_>) {
    checks.take(Kind::Conformance, "every challenge gets evidence of its own", fresh(rig).await);
    checks.take(Kind::Conformance, "requests get their replies", requests(rig).await);
    checks.take(Kind::Conformance, "events arrive once and in order", events(rig).await);
    checks.take(Kind::Conformance, "events go from module to module and back", trips(rig).await);
    checks.take(Kind::Conformance, "sealed counters agree at both ends", counters(rig).await);
}

/// Two challenges, two pieces of evidence, one life.
async fn fresh(rig: &Rig) -> Result<String> {
    let (one, other) = (rig.attest().await?, rig.attest().await?);
    ensure!(one.bytes != other.bytes, "two challenges got the same evidence");
    let (first, second) = (rig.judge(&one)?, rig.judge(&other)?);
    ensure!(first.activation == second.activation, "the module began another life meanwhile");
    Ok(format!("{} bytes", one.bytes.len()))
}

async fn requests(rig: &Rig) -> Result<String> {
    let mut caller = rig.caller("echo").await?;
    for number in 0..REQUESTS {
        let reply = caller.request(&load(number), PATIENCE).await?;
        let reply = reply.map_err(|code| anyhow::anyhow!("the handler refuses with code {code}"))?;
        ensure!(reply.starts_with(&load(number)), "request {number} got another reply");
    }
    Ok(format!("{REQUESTS} of {REQUESTS}"))
}

async fn events(rig: &Rig) -> Result<String> {
    let [before, disordered, _] = rig.seen().await?;
    rig.call("near", "burst", &EVENTS.to_le_bytes()).await?;
    let end = Instant::now() + PATIENCE;
    loop {
        let [received, now, _] = rig.seen().await?;
        ensure!(now == disordered, "{} events came out of order", now - disordered);
        if received - before >= EVENTS.into() {
            ensure!(received - before == u64::from(EVENTS), "more events arrived than were sent");
            return Ok(format!("{EVENTS} of {EVENTS}"));
        }
        ensure!(Instant::now() < end, "{} of {EVENTS} events arrived", received - before);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn trips(rig: &Rig) -> Result<String> {
    play(rig, TRIPS).await.map(|_| format!("{TRIPS} of {TRIPS}"))
}

/// Plays a game of round trips between the modules; gives how long it took.
pub(super) async fn play(rig: &Rig, trips: u32) -> Result<Duration> {
    let played = async || Ok::<_, anyhow::Error>(rig.call("near", "clock", &[]).await?.get(1).copied().unwrap_or(0));
    let before = played().await?;
    let start = Instant::now();
    rig.call("near", "serve", &trips.to_le_bytes()).await?;
    loop {
        let done = played().await? - before;
        if done >= trips.into() {
            return Ok(start.elapsed());
        }
        ensure!(start.elapsed() < PATIENCE, "{done} of {trips} round trips are over");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The modules' own sealed statements, not the node's.
async fn counters(rig: &Rig) -> Result<String> {
    let mut sums = Vec::new();
    let (near, far) = (rig.desk("near").await?.status().await?, rig.desk("far").await?.status().await?);
    for row in &near.rows {
        let Some(other) = far.rows.iter().find(|other| other.connection == row.connection) else { continue };
        ensure!(
            (row.epoch, row.next) == (other.epoch, other.next),
            "connection {}: {} at one end, {} at the other",
            row.connection,
            row.next.0,
            other.next.0
        );
        sums.push(row.next.0);
    }
    ensure!(sums.len() == 3, "three connections are between the modules, {} are in both tables", sums.len());
    Ok(format!("{} events on {} connections", sums.iter().sum::<u64>(), sums.len()))
}
