//! `veritee node verify`: holds a node, real or simulated, against what it must do, and measures it a little.
//!
//! A throw-away application of two modules is brought up on the node, exactly as an owner's would be. In the order in which it
//! happens: [`rig`] brings it up, [`conformance`] has it do its work, [`refusals`] attacks it over the real wire, [`speed`]
//! measures it. [`report`] is what came of it.
//!
//! What the owner's tool cannot see is not claimed: the rules of the protocol inside a module are `testkit/conformance`'s.

mod conformance;
mod refusals;
mod report;
mod rig;
mod speed;

use crate::application::{Loaded, clear, owner};
use crate::bench::project::Project;
use crate::exit::Exit;
use crate::grammar::{Application, Variant};
use crate::printer::{Printer, Warnings};
use anyhow::{Context, Result, bail};
use report::{Checks, PlatformReport, Report};
use rig::Rig;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use veritee_exec::deploy::Owner;
use veritee_exec::fleet::{Fleet, Node};
use veritee_exec::home::Home;
use veritee_exec::throwaway::{Settings, Throwaway};
use veritee_exec::{ExecError, platforms, random};
use veritee_ids::ApplicationId;
use veritee_node_client::Fingerprint;
use veritee_node_protocol::{Description, Request, Response};

/// Cipher and payload of the throw-away application.
const CIPHER: &str = "aes-128-gcm";
const PAYLOAD_BYTES: u16 = 64;
/// What a throw-away node on this machine is called.
const HERE: &str = "here";

/// What is to be verified.
pub(crate) struct Wish {
    /// A node that knows the owner; without one, a throw-away node on this machine.
    pub(crate) node: Option<String>,
    /// Kinds of TEE; without one, all that the node has.
    pub(crate) platforms: Vec<String>,
    /// Where the report goes.
    pub(crate) report: Option<PathBuf>,
}

/// Who verifies whom.
struct Stand {
    home: Home,
    owner: Owner,
    fleet: Fleet,
    node: Node,
}

/// Verifies, prints, and writes the report.
pub(crate) async fn verify(wish: &Wish, printer: &Printer) -> Result<Exit> {
    let mut throwaway = Throwaway::new()?;
    let report = examine(wish, &mut throwaway, printer).await;
    throwaway.end().await;
    let report = report?;
    if let Some(path) = &wish.report {
        report.write(path)?;
        printer.say(&format!("wrote {}", path.display()));
    }
    printer.result(&report, || report.text());
    Ok(if report.passed { Exit::Done } else { Exit::Failed })
}

async fn examine(wish: &Wish, throwaway: &mut Throwaway, printer: &Printer) -> Result<Report> {
    let stand = stand(wish, throwaway, printer).await?;
    let Response::Description(description) = stand.node.ask(Request::Describe).await? else {
        bail!("node {} does not describe itself", stand.node.name);
    };
    let mut found = Vec::new();
    for platform in chosen(wish, &description)? {
        found.push(on_platform(&platform, &stand, throwaway.folder(), printer).await?);
    }
    Ok(Report::new(
        stand.node.name,
        description.software,
        Fingerprint(description.identity).to_string(),
        SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        found,
    ))
}

/// Reaches the node, or starts one.
async fn stand(wish: &Wish, throwaway: &mut Throwaway, printer: &Printer) -> Result<Stand> {
    let (home, fleet, name) = match &wish.node {
        Some(name) => {
            let home = Home::of_user();
            let nodes = home.nodes()?;
            let known = nodes.get(name).ok_or_else(|| ExecError::UnknownNode { node: name.clone() })?;
            let node = Node::connect(name, &known.address, known.identity()?, &home.identity()?).await?;
            (home, Fleet { nodes: [(name.clone(), node)].into(), ..Fleet::default() }, name.as_str())
        }
        None => {
            let fleet = throwaway.start(&[HERE.to_owned()], &Settings::default(), &Warnings(printer)).await?;
            (throwaway.home(), fleet, HERE)
        }
    };
    let (owner, node) = (owner(&home)?, fleet.node(name)?.clone());
    Ok(Stand { home, owner, fleet, node })
}

/// The platforms that are verified, all of them the node's.
fn chosen(wish: &Wish, description: &Description) -> Result<Vec<String>> {
    for platform in &wish.platforms {
        if !description.platforms.contains(platform) {
            let candidates = description.platforms.clone();
            bail!(ExecError::NoSuch { what: "platform on this node", name: platform.clone(), candidates });
        }
    }
    Ok(if wish.platforms.is_empty() { description.platforms.clone() } else { wish.platforms.clone() })
}

/// Verifies one platform of the node. Whatever comes of it, nothing of it stays there.
async fn on_platform(platform: &str, stand: &Stand, folder: &Path, printer: &Printer) -> Result<PlatformReport> {
    let boards = platforms::platform(platform).is_none_or(|platform| platform.has_boards());
    if boards {
        return Ok(PlatformReport::not_yet(platform));
    }
    printer.say(&format!("verifying {platform} on {}", stand.node.name));
    let descriptor = include_str!("../bench/verify.yaml.in").replace("{node}", &stand.node.name);
    let project =
        Project { folder: "verify", descriptor: &descriptor, platform, cipher: CIPHER, payload: PAYLOAD_BYTES };
    let loaded = Loaded::read(&Application { file: project.write()?, variant: Variant::default(), delegation: None })?;
    let built = loaded.build_images(&stand.owner.identity.public(), &stand.home, printer).await?;
    let (application, folder) = (ApplicationId(random()?), folder.join(platform));
    let outcome = tokio::select! {
        outcome = on_rig(platform, stand, (&loaded, &built), (application, &folder), printer) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let cleared = clear(&stand.node, application.0, &Warnings(printer)).await;
    let outcome = outcome?;
    cleared.context("what was verified cannot be removed from the node")?;
    Ok(outcome)
}

/// The order of things: what attacks goes last, so that it finds everything at work.
async fn on_rig(
    platform: &str, stand: &Stand, what: rig::What<'_>, place: (ApplicationId, &Path), printer: &Printer,
) -> Result<PlatformReport> {
    let mut checks = Checks::new(printer);
    let mut report = PlatformReport::of(platform);
    match Rig::up(platform, stand, what, place, printer).await {
        Err(error) => checks.take(report::Kind::Conformance, "modules load and prove what they are", Err(error)),
        Ok((rig, proved)) => {
            checks.take(report::Kind::Conformance, "modules load and prove what they are", Ok(proved.to_string()));
            conformance::run(&rig, &mut checks).await;
            refusals::run(&rig, &mut checks).await;
            let measured = speed::measure(&rig).await;
            report.benchmark = measured.as_ref().ok().copied();
            let words = measured.map(|speed| speed.to_string());
            checks.take(report::Kind::Conformance, "it is measured, and everything lives after it", words);
            report.proved = Some(proved);
        }
    }
    report.checks = checks.list;
    Ok(report)
}
