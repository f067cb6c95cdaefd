//! `veritee delegate`: who else may act for the owner.

use crate::application::{Lasting, Loaded, lenders, owner, reach_one};
use crate::exit::{Exit, Misuse};
use crate::grammar::{Application, DelegateVerb, Epochs, Until};
use crate::printer::Printer;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use veritee_exec::delegation::{Opened, Wish, date, give, now, revoke};
use veritee_exec::deploy::Place;
use veritee_exec::fleet::Fleet;
use veritee_exec::home::Home;
use veritee_exec::resolve::resolve;
use veritee_exec::{ExecError, Talk as _};
use veritee_ids::Epoch;
use veritee_node_client::{Fingerprint, parse_fingerprint};

pub(crate) async fn obey(verb: DelegateVerb, printer: &Printer) -> Result<Exit> {
    match verb {
        DelegateVerb::Create { application, to, epochs, until, out } => {
            create(&application, (&to, epochs, until), &out, printer).await?;
        }
        DelegateVerb::Show { file } => show(&file, printer)?,
        DelegateVerb::List(application) => list(&application.into(), printer)?,
        DelegateVerb::Revoke { application, serial } => return revoke_all(&application, serial, printer).await,
    }
    Ok(Exit::Done)
}

/// A fingerprint, or what a file has for one.
fn key_of(text: &str) -> Result<[u8; 32]> {
    if let Ok(key) = parse_fingerprint(text) {
        return Ok(key);
    }
    let read = std::fs::read_to_string(text)
        .with_context(|| format!("{text:?} is no fingerprint of 64 hexadecimal digits, and no file with one"))?;
    parse_fingerprint(&read).map_err(|_| Misuse(format!("{text} holds no fingerprint of 64 hexadecimal digits")).into())
}

async fn create(
    application: &Application, (to, epochs, until): (&str, Epochs, Until), out: &Path, printer: &Printer,
) -> Result<()> {
    let wish = Wish { delegate: key_of(to)?, epochs: (Epoch(epochs.0), Epoch(epochs.1)), not_after: until.last(now()) };
    if wish.not_after < now() {
        bail!(Misuse(format!("it would have ended on {} already", date(wish.not_after))));
    }
    let mut lasting = Lasting::open(application, printer).await?;
    lasting.home.remember(lasting.state.application, &lasting.target.application, lasting.state.folder())?;
    let place = Place { target: &lasting.target, fleet: &lasting.fleet, owner: &lasting.owner, talk: printer };
    let file = give(place, &mut lasting.state, &lasting.built, wish)?;
    file.write(out)?;
    show(out, printer)
}

/// A delegation, for people and programs.
#[derive(Serialize)]
struct Shown {
    serial: u64,
    application: String,
    id: String,
    owner: String,
    delegate: String,
    epochs: (u32, u32),
    not_after: u64,
    until: String,
    over: bool,
}

fn show(file: &Path, printer: &Printer) -> Result<()> {
    let Opened { file, delegation, .. } = Opened::read(file)?;
    let shown = Shown {
        serial: delegation.serial,
        application: file.application,
        id: veritee_exec::hex(&delegation.application.0),
        owner: file.owner,
        delegate: Fingerprint(delegation.delegate).to_string(),
        epochs: (delegation.epoch_first.0, delegation.epoch_last.0),
        not_after: delegation.not_after,
        until: date(delegation.not_after),
        over: now() > delegation.not_after,
    };
    printer.result(&shown, || {
        let Shown { serial, application, id, owner, delegate, epochs, until, over, .. } = &shown;
        let over = if *over { "; it is over" } else { "" };
        format!(
            "serial       {serial}\napplication  {application} ({id})\nowner        {owner}\ndelegate     {delegate}\n\
             epochs       {} to {}\nuntil        {until}{over}",
            epochs.0, epochs.1
        )
    });
    Ok(())
}

/// A delegation that was given out.
#[derive(Serialize)]
struct Given {
    serial: u64,
    delegate: String,
    epochs: (u32, u32),
    until: String,
    revoked: bool,
    over: bool,
}

fn list(application: &Application, printer: &Printer) -> Result<()> {
    let state = Loaded::read(application)?.state(&Home::of_user())?;
    let given = state.delegations.values().map(|found| Given {
        serial: found.serial,
        delegate: found.delegate.clone(),
        epochs: found.epochs,
        until: date(found.not_after),
        revoked: found.serial < state.serial_floor,
        over: now() > found.not_after,
    });
    let given: Vec<Given> = given.collect();
    printer.result(&given, || {
        let line = |given: &Given| {
            let mark = match (given.revoked, given.over) {
                (true, _) => "  revoked",
                (false, true) => "  over",
                (false, false) => "",
            };
            let Given { serial, delegate, epochs, until, .. } = given;
            format!("{serial}  {delegate}  epochs {} to {}  until {until}{mark}", epochs.0, epochs.1)
        };
        if given.is_empty() {
            "nobody was delegated here".to_owned()
        } else {
            given.iter().map(line).collect::<Vec<_>>().join("\n")
        }
    });
    Ok(())
}

/// A node that is not reached is in nobody's way but its own modules'.
async fn revoke_all(application: &Application, serial: Option<u64>, printer: &Printer) -> Result<Exit> {
    let loaded = Loaded::read(application)?;
    let home = Home::of_user();
    let owner = owner(&home)?;
    let built = loaded.build(&owner.identity.public(), &home, printer).await?;
    let (mut fleet, mut away) = (Fleet::default(), BTreeMap::new());
    for module in loaded.descriptor.modules.values() {
        if let Err(error) = reach_one(&mut fleet, &module.node, &loaded.descriptor, &home).await {
            away.insert(module.node.clone(), error.to_string());
        }
    }
    lenders(&mut fleet, &home)?;
    let mut state = loaded.state(&home)?;
    let target = resolve(&loaded.descriptor, &built, &fleet, &mut state)?;
    if let Some(serial) = serial.filter(|serial| !state.delegations.contains_key(serial)) {
        let candidates = state.delegations.keys().map(u64::to_string).collect();
        bail!(ExecError::NoSuch { what: "delegation with serial", name: serial.to_string(), candidates });
    }
    let place = Place { target: &target, fleet: &fleet, owner: &owner, talk: printer };
    let mut revoked = revoke(place, &mut state, serial).await?;
    for (module, reason) in &mut revoked.not_told {
        if let Some(why) = target.modules.get(module).and_then(|target| away.get(&target.node)) {
            reason.clone_from(why);
        }
    }
    printer.result(&revoked, || {
        let told = if revoked.told.is_empty() { "no module".to_owned() } else { revoked.told.join(", ") };
        format!("delegations with serials below {} are revoked; {told} knows", revoked.below)
    });
    for (module, reason) in &revoked.not_told {
        printer.warn(&format!("module {module} takes them still: {reason}; say it again, or `veritee up`"));
    }
    Ok(if revoked.not_told.is_empty() { Exit::Done } else { Exit::Unreached })
}
