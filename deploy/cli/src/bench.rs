//! `veritee bench`: two nodes on loopback with links as in production, measured beside what the machine can do at best.

pub(crate) mod cost;
mod floors;
pub(crate) mod project;
mod rig;

use crate::printer::Printer;
use anyhow::{Context, Result};
use cost::{Part, round};
use rig::Rig;
use serde::Serialize;
use veritee_exec::throwaway::{Settings, Throwaway};
use veritee_ids::CipherId;

/// What is to be measured.
pub(crate) struct Wish {
    pub(crate) platform: String,
    pub(crate) payload: u16,
    pub(crate) cipher: String,
    pub(crate) events: u64,
    pub(crate) connections: u16,
}

/// What was measured.
#[derive(Serialize)]
struct Results {
    platform: String,
    payload_bytes: u16,
    cipher: String,
    round_trip_us: Percentiles,
    tcp_echo_us: Percentiles,
    seal_floor_per_second: f64,
    one_way: OneWay,
    one_way_durable: OneWay,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_connections: Option<Idle>,
    ratios: Ratios,
}

/// Of many round trips.
#[derive(Serialize, Clone, Copy, PartialEq, Debug)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// A flood.
#[derive(Serialize)]
struct OneWay {
    events: u64,
    seconds: f64,
    per_second: f64,
    lost: u64,
    reordered: u64,
    /// Each event waited for the disk, in groups.
    durable: bool,
    /// Where the time goes: processor time of each process.
    parts: Vec<Part>,
}

/// What further connections cost.
#[derive(Serialize)]
struct Idle {
    count: u16,
    /// Both ends together.
    bytes_each: f64,
    round_trip_us: Percentiles,
    one_way_per_second: f64,
}

/// Results over floors of the same run.
#[derive(Serialize)]
struct Ratios {
    /// Goal: at most 4.
    round_trip_over_tcp_echo: f64,
    /// Goal: at least 0.25.
    one_way_over_seal_floor: f64,
}

impl Percentiles {
    pub(crate) fn of(mut trips: Vec<f64>) -> Self {
        trips.sort_by(f64::total_cmp);
        let at = |percent: usize| trips.get(trips.len() * percent / 100).copied().unwrap_or_default();
        Self { p50: round(at(50)), p99: round(at(99)) }
    }
}

/// Measures and prints.
pub(crate) async fn bench(wish: &Wish, printer: &Printer) -> Result<()> {
    if cfg!(debug_assertions) {
        printer.say("this is a debug build: its numbers say nothing (cargo build --release)");
    }
    let mut throwaway = Throwaway::new()?;
    let results = measure(wish, &mut throwaway, printer).await;
    throwaway.end().await;
    let results = results?;
    printer.result(&results, || text(&results));
    Ok(())
}

async fn measure(wish: &Wish, throwaway: &mut Throwaway, printer: &Printer) -> Result<Results> {
    let cipher = CipherId::ALL.iter().find(|cipher| cipher.word() == wish.cipher);
    let cipher = *cipher.with_context(|| format!("there is no cipher {:?}", wish.cipher))?;
    let images = rig::Images::build(wish, throwaway, printer).await?;
    let mut rig = Rig::set_up(&images, throwaway, Settings::default(), printer).await?;
    printer.say("measuring: round trips");
    let (trips, echo) = round_trips(&mut rig, usize::from(wish.payload)).await?;
    let floor = floors::seals_per_second(cipher, usize::from(wish.payload));
    printer.say("measuring: one way");
    let one_way = rig.flood(wish.events).await?;
    rig.finish(throwaway).await;
    printer.say("measuring: one way, each event on disk before it leaves");
    let mut rig =
        Rig::set_up(&images, throwaway, Settings { wait_for_disk: true, ..Settings::default() }, printer).await?;
    let one_way_durable = rig.flood(wish.events).await?;
    rig.finish(throwaway).await;
    let idle_connections = idle(wish, &images, throwaway, printer).await?;
    Ok(Results {
        platform: wish.platform.clone(),
        payload_bytes: wish.payload,
        cipher: wish.cipher.clone(),
        ratios: Ratios {
            round_trip_over_tcp_echo: round(trips.p50 / echo.p50),
            one_way_over_seal_floor: round(one_way.per_second / floor),
        },
        round_trip_us: trips,
        tcp_echo_us: echo,
        seal_floor_per_second: floor.round(),
        one_way,
        one_way_durable,
        idle_connections,
    })
}

/// Round trips and echoes in turns, so that a busy moment of the machine meets both.
async fn round_trips(rig: &mut Rig, payload: usize) -> Result<(Percentiles, Percentiles)> {
    let (mut trips, mut echoes) = (Vec::new(), Vec::new());
    rig.play().await?;
    for _ in 0..4 {
        trips.extend(rig.play().await?);
        echoes.extend(floors::tcp_echo(payload)?);
    }
    Ok((Percentiles::of(trips), Percentiles::of(echoes)))
}

/// The same again on nodes with further connections.
async fn idle(wish: &Wish, images: &rig::Images, throwaway: &mut Throwaway, printer: &Printer) -> Result<Option<Idle>> {
    if wish.connections == 0 {
        return Ok(None);
    }
    printer.say(&format!("measuring: beside {} idle connections", wish.connections));
    let mut rig = Rig::set_up(images, throwaway, Settings::default(), printer).await?;
    let bytes = rig.add_idle(wish.connections).await?;
    let (trips, _) = round_trips(&mut rig, usize::from(wish.payload)).await?;
    let one_way = rig.flood(wish.events).await?;
    rig.finish(throwaway).await;
    Ok(Some(Idle {
        count: wish.connections,
        bytes_each: round(floors::precise(bytes) / f64::from(wish.connections)),
        round_trip_us: trips,
        one_way_per_second: one_way.per_second,
    }))
}

fn text(results: &Results) -> String {
    let way = |name: &str, way: &OneWay| {
        let parts: Vec<String> =
            way.parts.iter().map(|part| format!("{} {:.0} ns", part.process, part.cpu_ns_per_event)).collect();
        format!(
            "{name:<14} {:>12.0} events/s   {} events, {} lost, {} reordered\n{:<14} processor time of an event: {}\n",
            way.per_second,
            way.events,
            way.lost,
            way.reordered,
            "",
            parts.join(", ")
        )
    };
    let mut text = format!(
        "\n{} modules, {} B, {}\n\nround trip     {:>12.1} µs p50   {:.1} µs p99   ({:.2} TCP echoes of {:.1} µs)\n",
        results.platform,
        results.payload_bytes,
        results.cipher,
        results.round_trip_us.p50,
        results.round_trip_us.p99,
        results.ratios.round_trip_over_tcp_echo,
        results.tcp_echo_us.p50
    );
    text += &way("one way", &results.one_way);
    text += &way("… on disk", &results.one_way_durable);
    text += &format!(
        "seal and open  {:>12.0} /s in one thread; one way is {:.2} of it\n",
        results.seal_floor_per_second, results.ratios.one_way_over_seal_floor
    );
    if let Some(idle) = &results.idle_connections {
        text += &format!(
            "beside {} idle connections of {:.0} B: round trip {:.1} µs p50, one way {:.0} events/s\n",
            idle.count, idle.bytes_each, idle.round_trip_us.p50, idle.one_way_per_second
        );
    }
    text
}
