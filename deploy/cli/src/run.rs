//! `veritee run`: a whole application on this machine, watched while it runs, explained at the end.

use crate::application::{Loaded, owner, port_names};
use crate::emulated::Emulated;
use crate::exit::Exit;
use crate::grammar::Application;
use crate::printer::{Printer, report_text};
use anyhow::Result;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use veritee_exec::deploy::{Deployment, Place, bring_up, stop_timers};
use veritee_exec::observe::{Report, drain, report};
use veritee_exec::resolve::resolve;
use veritee_exec::settle::{Changes, settle};
use veritee_exec::state::State;
use veritee_exec::throwaway::Throwaway;
use veritee_exec::{ExecError, Talk};
use veritee_model::Millis;

/// How long the last events may take to arrive.
const DRAIN_PATIENCE: Duration = Duration::from_secs(20);
/// How often a line of progress is shown.
const EVERY: Duration = Duration::from_secs(1);

/// Runs an application. Whatever happens, its processes end and its folders go.
pub(crate) async fn run(application: Application, duration: Option<Millis>, printer: &Printer) -> Result<Exit> {
    let loaded = Loaded::read(&application)?;
    let mut throwaway = Throwaway::new()?;
    let mut boards = None;
    let outcome = tokio::select! {
        outcome = session(&loaded, (&mut throwaway, &mut boards), duration, printer) => outcome,
        // A second Ctrl-C ends it at once.
        _ = interrupted_twice() => Err(anyhow::anyhow!("interrupted")),
    };
    throwaway.stop().await;
    if let Some(boards) = &mut boards {
        boards.end().await;
    }
    throwaway.end().await;
    let report = outcome?;
    printer.result(&report, || report_text(&report));
    let lost = report.connections.iter().any(|connection| connection.sent != connection.accepted);
    if lost {
        printer.warn("not everything that was sent was accepted");
    }
    Ok(if lost { Exit::NotAccepted } else { Exit::Done })
}

async fn interrupted_twice() {
    let _ = tokio::signal::ctrl_c().await;
    let _ = tokio::signal::ctrl_c().await;
}

async fn session(
    loaded: &Loaded, (throwaway, boards): (&mut Throwaway, &mut Option<Emulated>), duration: Option<Millis>,
    printer: &Printer,
) -> Result<Report> {
    let home = throwaway.home();
    let owner = owner(&home)?;
    let boards = boards.insert(Emulated::make(&loaded.descriptor, &loaded.target(), throwaway, printer).await?);
    boards.begin(printer).await?;
    let mut built = loaded.build(&owner.identity.public(), &home, printer).await?;
    let nodes = loaded.descriptor.nodes.keys();
    let names: Vec<String> = nodes.filter(|node| !boards.is_machine(node)).cloned().collect();
    let settings = boards.start(printer).await?;
    let mut fleet = throwaway.start(&names, &settings, printer).await?;
    boards.join(throwaway, &mut fleet, printer).await?;
    boards.lend(throwaway, &mut fleet).await?;
    let mut state = State::open(&throwaway.state(), &loaded.descriptor.application, None)?;
    settle(&loaded.descriptor, &mut built, &fleet, (state.application, Changes::Happen), printer).await?;
    let target = resolve(&loaded.descriptor, &built, &fleet, &mut state)?;
    let place = Place { target: &target, fleet: &fleet, owner: &owner, talk: printer };
    let mut deployment = bring_up(place, &mut state).await?;
    boards.play(printer);
    let ports = port_names(&built);
    watch(place, &state, &mut deployment, duration, &ports, printer).await?;
    printer.say("draining");
    stop_timers(place, &state).await?;
    if !drain(place, &state, &mut deployment.desks, DRAIN_PATIENCE).await? {
        printer.warn("some events did not arrive in time");
    }
    Ok(report(place, &state, &mut deployment, &ports).await?)
}

/// Shows events moving until the time is over or Ctrl-C.
async fn watch(
    place: Place<'_>, state: &State, deployment: &mut Deployment, duration: Option<Millis>,
    ports: &dyn Fn(&str, u16) -> String, printer: &Printer,
) -> Result<(), ExecError> {
    let start = Instant::now();
    let end = duration.map(|duration| start + duration.duration());
    printer.say(&match duration {
        Some(duration) => format!("running for {duration}"),
        None => "running; Ctrl-C ends it".to_owned(),
    });
    let mut before = 0;
    // One for all turns: a Ctrl-C that comes while something else is done must not get lost.
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let next = (Instant::now() + EVERY).min(end.unwrap_or(Instant::now() + EVERY));
        tokio::select! {
            _ = &mut interrupted => return Ok(()),
            () = sleep_until(next) => {}
        }
        let report = report(place, state, deployment, ports).await?;
        let accepted: u64 = report.connections.iter().map(|connection| connection.accepted).sum();
        let busiest =
            report.connections.iter().map(|connection| format!("{} {}", connection.name, connection.accepted));
        printer.say(&format!(
            "  {:>3} s  {accepted} events accepted (+{})  {}",
            start.elapsed().as_secs(),
            accepted.saturating_sub(before),
            busiest.collect::<Vec<_>>().join(", ")
        ));
        before = accepted;
        if end.is_some_and(|end| Instant::now() >= end) {
            return Ok(());
        }
    }
}
