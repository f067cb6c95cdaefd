//! `veritee state`: sealed states of modules.

use crate::application::{Lasting, Loaded, Ready};
use crate::grammar::{Application, For, StateVerb};
use crate::printer::Printer;
use anyhow::Result;
use serde::Serialize;
use std::path::{Path, PathBuf};
use veritee_exec::deploy::Place;
use veritee_exec::home::Home;
use veritee_exec::sealed::{Leave, SaveOrder, restore, save};
use veritee_exec::settle::Changes;
use veritee_ids::SealPolicy;

pub(crate) async fn obey(verb: StateVerb, printer: &Printer) -> Result<()> {
    match verb {
        StateVerb::Save { application, module, policy, to } => {
            let policy = match policy {
                For::Enclave => SealPolicy::Enclave,
                For::Signer => SealPolicy::Signer,
            };
            save_state(&application, SaveOrder { module: &module, policy, to: to.as_deref() }, printer).await
        }
        StateVerb::Restore { application, module, from, replace, unwitnessed } => {
            let leave = Leave { replace, unwitnessed };
            restore_state(&application, (&module, from.as_deref()), leave, printer).await
        }
        StateVerb::List(application) => list(&application.into(), printer),
    }
}

async fn save_state(application: &Application, order: SaveOrder<'_>, printer: &Printer) -> Result<()> {
    let mut lasting = Lasting::open(application, printer).await?;
    let place = Place { target: &lasting.target, fleet: &lasting.fleet, owner: &lasting.owner, talk: printer };
    let saved = save(place, &mut lasting.state, order).await?;
    printer.result(&saved, || {
        format!("state {} of {} is in {}, for its {}", saved.counter, saved.module, saved.file.display(), saved.policy)
    });
    Ok(())
}

async fn restore_state(
    application: &Application, which: (&str, Option<&Path>), leave: Leave, printer: &Printer,
) -> Result<()> {
    let mut lasting = Ready::prepare(application, |_| None, printer).await?.lasting(Changes::Happen, printer).await?;
    lasting.home.remember(lasting.state.application, &lasting.target.application, lasting.state.folder())?;
    let place = Place { target: &lasting.target, fleet: &lasting.fleet, owner: &lasting.owner, talk: printer };
    let mut deployment = restore(place, &mut lasting.state, which, leave).await?;
    lasting.report(&mut deployment, printer).await
}

/// What the journal knows of a module's sealed states.
#[derive(Serialize)]
struct Known {
    module: String,
    counter: u64,
    file: PathBuf,
    /// The file is where it was put.
    there: bool,
}

fn list(application: &Application, printer: &Printer) -> Result<()> {
    let state = Loaded::read(application)?.state(&Home::of_user())?;
    let known: Vec<Known> = state
        .seals
        .iter()
        .filter_map(|(module, seals)| seals.witnessed.clone().map(|(counter, file)| (module.clone(), counter, file)))
        .map(|(module, counter, file)| Known { module, counter, there: file.is_file(), file })
        .collect();
    printer.result(&known, || {
        let line = |known: &Known| {
            let lack = if known.there { "" } else { "  (is not there)" };
            format!("{}  {}  {}{lack}", known.module, known.counter, known.file.display())
        };
        if known.is_empty() {
            "no state was sealed here".to_owned()
        } else {
            known.iter().map(line).collect::<Vec<_>>().join("\n")
        }
    });
    Ok(())
}
