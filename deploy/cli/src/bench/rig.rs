//! Two nodes with one module each, and what they are made to do.

use super::cost::{Processes, round};
use super::floors::precise;
use super::{OneWay, Wish, project};
use crate::application::{Loaded, owner};
use crate::grammar::{Application, Variant};
use crate::printer::{Printer, Warnings};
use anyhow::{Context, Result, bail, ensure};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use veritee_exec::deploy::{Owner, Place, bring_up, name_of};
use veritee_exec::fleet::{Fleet, Node};
use veritee_exec::resolve::{Built, resolve};
use veritee_exec::state::State;
use veritee_exec::throwaway::{Settings, Throwaway};
use veritee_ids::{Op, Status};
use veritee_node_protocol::{ModuleName, Remote, Request};

/// Events of one entry, round trips of one game, of one page: as the benchmark's modules have them.
const BURST: u32 = 512;
const TRIPS: u32 = 4096;
const PAGE: u32 = 1024;
/// Entries that are under way at the same time.
const ENTRIES: usize = 16;
/// How long a flood or a game may stand still.
const PATIENCE: Duration = Duration::from_secs(30);
/// Numbers of idle connections begin here.
const IDLE_FIRST: u16 = 20_000;

/// The benchmark's images.
pub(super) struct Images {
    loaded: Loaded,
    built: Built,
    owner: Owner,
}

impl Images {
    pub(super) async fn build(wish: &Wish, throwaway: &Throwaway, printer: &Printer) -> Result<Self> {
        let file = project::write(&wish.platform, &wish.cipher, wish.payload)?;
        let loaded = Loaded::read(&Application { file, variant: Variant::default(), delegation: None })?;
        let owner = owner(&throwaway.home())?;
        let built = loaded.build_images(&owner.identity.public(), &throwaway.home(), printer).await?;
        Ok(Self { loaded, built, owner })
    }

    /// Index of an entry among the ports of a module.
    fn entry(&self, module: &str, name: &str) -> Result<u16> {
        let ports = &self.built.get(module).with_context(|| format!("no module {module}"))?.ports().ports;
        let index = ports.iter().position(|port| port.name == name).with_context(|| format!("no entry {name}"))?;
        Ok(u16::try_from(index)?)
    }
}

/// A module's entry that can be called.
#[derive(Clone)]
struct Entry {
    node: Node,
    module: ModuleName,
    index: u16,
}

impl Entry {
    async fn call(&self, arguments: &[u8]) -> Result<Vec<u8>> {
        let input = [&self.index.to_le_bytes(), arguments].concat();
        let entered = self.node.enter(&self.module, Op::Entry, input).await?;
        ensure!(entered.status == Status::Accepted.code(), "an entry came to status {}", entered.status);
        Ok(entered.reply)
    }

    async fn numbers(&self) -> Result<(u64, u64)> {
        let reply = self.call(&[]).await?;
        let (first, rest) = reply.split_first_chunk().context("a short response")?;
        let (second, _) = rest.split_first_chunk().context("a short response")?;
        Ok((u64::from_le_bytes(*first), u64::from_le_bytes(*second)))
    }
}

/// The benchmark's application, up.
pub(super) struct Rig {
    fleet: Fleet,
    application: [u8; 16],
    burst: Entry,
    serve: Entry,
    clock: Entry,
    page: Entry,
    report: Entry,
    /// Ticks of the modules' clock in a microsecond, where they have one.
    ticks_per_us: Option<f64>,
    processes: Processes,
    durable: bool,
}

impl Rig {
    pub(super) async fn set_up(
        images: &Images, throwaway: &mut Throwaway, settings: Settings, printer: &Printer,
    ) -> Result<Self> {
        let talk = Warnings(printer);
        let names: Vec<String> = images.loaded.descriptor.nodes.keys().cloned().collect();
        let fleet = throwaway.start(&names, &settings, &talk).await?;
        let mut state = State::open(&throwaway.state(), &images.loaded.descriptor.application, None)?;
        let target = resolve(&images.loaded.descriptor, &images.built, &fleet, &mut state)?;
        bring_up(Place { target: &target, fleet: &fleet, owner: &images.owner, talk: &talk }, &mut state).await?;
        let entry = |module: &str, name: &str| -> Result<Entry> {
            let node = fleet.node(module)?.clone();
            Ok(Entry { node, module: name_of(&state, module), index: images.entry(module, name)? })
        };
        let clock = entry("near", "clock")?;
        Ok(Self {
            application: state.application.0,
            burst: entry("near", "burst")?,
            serve: entry("near", "serve")?,
            page: entry("near", "page")?,
            report: entry("far", "report")?,
            ticks_per_us: calibrate(&clock).await?,
            clock,
            processes: Processes::find(throwaway),
            durable: settings.wait_for_disk,
            fleet,
        })
    }

    /// Plays one game; gives its round trips in microseconds. Where modules have no clock, that is their mean, taken from
    /// outside.
    pub(super) async fn play(&mut self) -> Result<Vec<f64>> {
        let (_, before) = self.clock.numbers().await?;
        let start = Instant::now();
        self.serve.call(&TRIPS.to_le_bytes()).await?;
        let deadline = Instant::now() + PATIENCE;
        while self.clock.numbers().await?.1 < before + u64::from(TRIPS) {
            ensure!(Instant::now() < deadline, "the ball is lost");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let Some(ticks_per_us) = self.ticks_per_us else {
            return Ok(vec![start.elapsed().as_secs_f64() * 1e6 / f64::from(TRIPS)]);
        };
        let mut trips = Vec::new();
        for page in 0..TRIPS / PAGE {
            let ticks = self.page.call(&page.to_le_bytes()).await?;
            let (ticks, _) = ticks.as_chunks();
            trips.extend(ticks.iter().map(|ticks| f64::from(u32::from_le_bytes(*ticks)) / ticks_per_us));
        }
        Ok(trips)
    }

    /// Sends `events` one way and waits until all were received.
    pub(super) async fn flood(&mut self, events: u64) -> Result<OneWay> {
        let bursts = events.div_ceil(u64::from(BURST));
        let events = bursts * u64::from(BURST);
        let (before, disordered) = self.report.numbers().await?;
        let cpu = self.processes.seconds();
        let start = Instant::now();
        self.pump(bursts).await?;
        let mut deadline = Instant::now() + PATIENCE;
        let mut received = 0;
        while received < events && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let now = self.report.numbers().await?.0 - before;
            if now > received {
                deadline = Instant::now() + PATIENCE;
            }
            received = now;
        }
        let seconds = start.elapsed().as_secs_f64();
        let parts = self.processes.parts(&cpu, events);
        Ok(OneWay {
            events,
            seconds: round(seconds),
            per_second: (precise(received) / seconds).round(),
            lost: events - received,
            reordered: self.report.numbers().await?.1 - disordered,
            durable: self.durable,
            parts,
        })
    }

    /// Keeps some entries under way until all were made.
    async fn pump(&self, bursts: u64) -> Result<()> {
        let mut open = JoinSet::new();
        for _ in 0..bursts {
            if open.len() >= ENTRIES {
                open.join_next().await.context("an entry is open")???;
            }
            let burst = self.burst.clone();
            open.spawn(async move { burst.call(&BURST.to_le_bytes()).await.map(drop) });
        }
        while let Some(done) = open.join_next().await {
            done??;
        }
        Ok(())
    }

    /// Adds connections that carry nothing; gives the bytes that the daemons grew by.
    pub(super) async fn add_idle(&mut self, count: u16) -> Result<u64> {
        let before = self.processes.daemons_bytes();
        let (near, far) = (self.fleet.node("near")?.clone(), self.fleet.node("far")?.clone());
        let Some(last) = IDLE_FIRST.checked_add(count) else {
            bail!("at most {} idle connections", u16::MAX - IDLE_FIRST)
        };
        for connection in IDLE_FIRST..last {
            let remote = |node: &Node| Remote::Node { address: node.address.clone(), identity: node.identity };
            let route = Request::RouteIn {
                application: self.application,
                connection,
                target: "far".to_owned(),
                target_row: 15,
                source: remote(&near),
                deadline_ms: 0,
                port: 0,
            };
            far.tell(route, "route").await?;
            let route = Request::RouteOut {
                application: self.application,
                connection,
                source: "near".to_owned(),
                source_row: 15,
                target: remote(&far),
            };
            near.tell(route, "route").await?;
        }
        Ok(self.processes.daemons_bytes().saturating_sub(before))
    }

    /// Ends the nodes.
    pub(super) async fn finish(self, throwaway: &mut Throwaway) {
        drop(self);
        throwaway.stop().await;
    }
}

/// Ticks of the module's clock in a microsecond; nothing if it stands still.
async fn calibrate(clock: &Entry) -> Result<Option<f64>> {
    let (start, (first, _)) = (Instant::now(), clock.numbers().await?);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (time, (last, _)) = (start.elapsed(), clock.numbers().await?);
    Ok((last > first).then(|| precise(last - first) / (time.as_secs_f64() * 1e6)))
}
