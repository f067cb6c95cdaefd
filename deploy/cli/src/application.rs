//! Verbs about a lasting application.

use crate::grammar::Application;
use crate::printer::{Printer, report_text};
use anyhow::{Context, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use veritee_exec::build::build_all;
use veritee_exec::deploy::{Deployment, Owner, Place, Target, bring_up, name_of, open_desk};
use veritee_exec::fleet::{Fleet, Node};
use veritee_exec::home::Home;
use veritee_exec::resolve::{Built, check_ports, resolve, sources};
use veritee_exec::state::State;
use veritee_exec::{ExecError, Talk, hex, observe, resolve as resolving};
use veritee_model::Descriptor;
use veritee_node_protocol::Request;

/// A descriptor with where it is.
pub(crate) struct Loaded {
    pub(crate) descriptor: Descriptor,
    pub(crate) folder: PathBuf,
}

impl Loaded {
    /// Reads and judges a descriptor.
    pub(crate) fn read(application: &Application) -> Result<Self, ExecError> {
        let mut descriptor = Descriptor::read(&application.file)?;
        for wish in &application.platform {
            let (node, kind) = wish.split_once('=').map_or((None, wish.as_str()), |(node, kind)| (Some(node), kind));
            if let Some(node) = node
                && !descriptor.nodes.contains_key(node)
            {
                let candidates = descriptor.nodes.keys().cloned().collect();
                return Err(ExecError::NoSuch { what: "node", name: node.to_owned(), candidates });
            }
            for (name, found) in &mut descriptor.nodes {
                if node.is_none_or(|node| node == name) {
                    kind.clone_into(&mut found.platform);
                }
            }
        }
        let folder = application.file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        resolving::check(&descriptor, folder)?;
        Ok(Self { descriptor, folder: folder.to_owned() })
    }

    /// Builds all modules and judges the descriptor against their ports.
    pub(crate) async fn build(&self, owner: &[u8; 32], printer: &Printer) -> Result<Built, ExecError> {
        let built = self.build_images(owner, printer).await?;
        for warning in check_ports(&self.descriptor, &built)? {
            printer.warn(&warning);
        }
        Ok(built)
    }

    /// Builds all modules.
    pub(crate) async fn build_images(&self, owner: &[u8; 32], printer: &Printer) -> Result<Built, ExecError> {
        let target = self.folder.join("target");
        build_all(&sources(&self.descriptor, &self.folder), &target, owner, printer).await
    }

    pub(crate) fn state_folder(&self) -> PathBuf {
        self.folder.join(".veritee")
    }
}

/// The owner of this user.
pub(crate) fn owner(home: &Home) -> Result<Owner, ExecError> {
    Ok(Owner { identity: home.owner()?, root: home.root()? })
}

/// `module.port` of an index.
pub(crate) fn port_names(built: &Built) -> impl Fn(&str, u16) -> String + use<> {
    let tables = resolving::tables(built);
    move |module, index| {
        let port = tables.get(module).and_then(|table| table.ports.get(usize::from(index)));
        port.map_or_else(|| format!("{module}.{index}"), |port| format!("{module}.{}", port.name))
    }
}

pub(crate) async fn check(application: Application, printer: &Printer) -> Result<()> {
    let loaded = Loaded::read(&application)?;
    let home = Home::of_user();
    let built = loaded.build(&home.owner()?.public(), printer).await?;
    let modules = built.len();
    printer.result(&serde_json::json!({"sound": true}), || {
        format!(
            "{} is sound: {modules} modules, {} connections",
            application.file.display(),
            loaded.descriptor.connections.len()
        )
    });
    Ok(())
}

#[derive(Serialize)]
struct ImageReport {
    module: String,
    image: PathBuf,
    bytes: u64,
    measurement: String,
}

pub(crate) async fn build(application: Application, printer: &Printer) -> Result<()> {
    let loaded = Loaded::read(&application)?;
    let built = loaded.build(&Home::of_user().owner()?.public(), printer).await?;
    let images: Vec<ImageReport> = built
        .iter()
        .map(|(module, image)| ImageReport {
            module: module.clone(),
            image: image.path.clone(),
            bytes: std::fs::metadata(&image.path).map_or(0, |data| data.len()),
            measurement: hex(&image.measurement),
        })
        .collect();
    printer.result(&images, || {
        let lines = images.iter().map(|image| format!("{}  {} B  {}", image.measurement, image.bytes, image.module));
        lines.collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

/// Everything that a verb on a lasting application needs.
pub(crate) struct Lasting {
    pub(crate) built: Built,
    pub(crate) state: State,
    pub(crate) target: Target,
    pub(crate) fleet: Fleet,
    pub(crate) owner: Owner,
}

impl Lasting {
    /// Builds, resolves, connects to the nodes.
    pub(crate) async fn open(application: &Application, printer: &Printer) -> Result<Self> {
        let loaded = Loaded::read(application)?;
        let home = Home::of_user();
        let owner = owner(&home)?;
        let built = loaded.build(&owner.identity.public(), printer).await?;
        let mut state = State::open(&loaded.state_folder(), &loaded.descriptor.application)?;
        let target = resolve(&loaded.descriptor, &built, &mut state)?;
        let fleet = fleet(&loaded.descriptor, &home, &state).await?;
        Ok(Self { built, state, target, fleet, owner })
    }

    pub(crate) fn place<'a>(&'a self, printer: &'a Printer) -> Place<'a> {
        Place { target: &self.target, fleet: &self.fleet, owner: &self.owner, talk: printer }
    }
}

/// Channels to the descriptor's nodes, and to those where modules still are.
async fn fleet(descriptor: &Descriptor, home: &Home, state: &State) -> Result<Fleet> {
    let known = home.nodes()?;
    let identity = home.identity()?;
    let mut fleet = Fleet::default();
    let used = descriptor.modules.values().map(|module| &module.node).chain(state.placed.values());
    for name in used {
        if fleet.0.contains_key(name) {
            continue;
        }
        let node = known.get(name).ok_or_else(|| ExecError::UnknownNode { node: name.clone() })?;
        let address = descriptor.nodes.get(name).and_then(|node| node.address.as_ref()).unwrap_or(&node.address);
        fleet.0.insert(name.clone(), Node::connect(name, address, node.identity()?, &identity).await?);
    }
    Ok(fleet)
}

pub(crate) async fn plan(application: Application, printer: &Printer) -> Result<()> {
    let Lasting { built, state, target, fleet, owner } = Lasting::open(&application, printer).await?;
    let steps = veritee_exec::plan::steps(&target, &state, &fleet, &owner).await?;
    let _ = built;
    printer.result(&steps, || if steps.is_empty() { "nothing to change".to_owned() } else { steps.join("\n") });
    Ok(())
}

pub(crate) async fn up(application: Application, watch: bool, printer: &Printer) -> Result<()> {
    let mut lasting = Lasting::open(&application, printer).await?;
    let mut deployment = lasting.bring_up(printer).await?;
    lasting.report(&mut deployment, printer).await?;
    if !watch {
        return Ok(());
    }
    printer.say("watching; Ctrl-C ends the watch, not the application");
    drop(deployment);
    let (folder, name) = (lasting.state.folder().to_owned(), lasting.target.application.clone());
    let Lasting { built, state, target, fleet, owner } = lasting;
    drop(state);
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        let lives = lives(&target, &fleet, &folder, &name).await?;
        if lives {
            continue;
        }
        // Nobody else may be deploying now: the lock is taken for the repair only.
        let mut state = State::open(&folder, &name)?;
        let place = Place { target: &target, fleet: &fleet, owner: &owner, talk: printer };
        bring_up(place, &mut state).await?;
        let _ = &built;
    }
}

/// Whether all modules live their known life: a node tells when it started one again.
async fn lives(target: &Target, fleet: &Fleet, folder: &Path, name: &str) -> Result<bool> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static RESTARTS: AtomicU64 = AtomicU64::new(0);
    let application = { State::open(folder, name)?.application };
    let mut restarts = 0;
    for node in fleet.0.values() {
        for module in node.list(application.0).await? {
            if target.modules.contains_key(&module.name.module) {
                restarts += module.restarts;
            }
        }
    }
    Ok(RESTARTS.swap(restarts, Ordering::Relaxed) == restarts)
}

impl Lasting {
    pub(crate) async fn bring_up(&mut self, printer: &Printer) -> Result<Deployment> {
        let place = Place { target: &self.target, fleet: &self.fleet, owner: &self.owner, talk: printer };
        Ok(bring_up(place, &mut self.state).await?)
    }

    async fn report(&self, deployment: &mut Deployment, printer: &Printer) -> Result<()> {
        let names = port_names(&self.built);
        let report = observe::report(self.place(printer), &self.state, deployment, &names).await?;
        printer.result(&report, || report_text(&report));
        Ok(())
    }

    /// Opens sessions without changing anything.
    async fn look(&self, printer: &Printer) -> Result<Deployment> {
        let mut deployment = Deployment { desks: Default::default(), connected: Default::default() };
        for (module, target) in &self.target.modules {
            let desk = open_desk(self.place(printer), &self.state, module, target).await?;
            deployment.desks.insert(module.clone(), desk);
        }
        Ok(deployment)
    }
}

pub(crate) async fn status(application: Application, printer: &Printer) -> Result<()> {
    let lasting = Lasting::open(&application, printer).await?;
    let mut deployment = lasting.look(printer).await?;
    lasting.report(&mut deployment, printer).await
}

pub(crate) async fn disable(application: Application, module: &str, printer: &Printer) -> Result<()> {
    let lasting = Lasting::open(&application, printer).await?;
    let target = lasting.target.modules.get(module).ok_or_else(|| ExecError::NoSuch {
        what: "module",
        name: module.to_owned(),
        candidates: lasting.target.modules.keys().cloned().collect(),
    })?;
    open_desk(lasting.place(printer), &lasting.state, module, target).await?.disable().await?;
    printer.result(&serde_json::json!({"disabled": module}), || format!("{module} is disabled"));
    Ok(())
}

pub(crate) async fn down(application: Application, printer: &Printer) -> Result<()> {
    let loaded = Loaded::read(&application)?;
    if !State::exists(&loaded.state_folder()) {
        printer.result(&serde_json::json!({"down": true}), || "nothing is up".to_owned());
        return Ok(());
    }
    let home = Home::of_user();
    let mut state = State::open(&loaded.state_folder(), &loaded.descriptor.application)?;
    let fleet = fleet(&loaded.descriptor, &home, &state).await?;
    for (module, node) in state.placed.clone() {
        let request = Request::Unload { name: name_of(&state, &module) };
        fleet.node(&node)?.tell(request, "unload").await?;
        state.forget(&module)?;
        printer.done(&format!("unloaded {module} from {node}"));
    }
    for (name, assignment) in state.assigned.clone() {
        let unroute = Request::Unroute { application: state.application.0, connection: assignment.id };
        for node in fleet.0.values() {
            node.tell(unroute.clone(), "unroute").await.with_context(|| format!("cannot forget {name}"))?;
        }
        state.remove(&name)?;
    }
    printer.result(&serde_json::json!({"down": true}), || format!("{} is down", loaded.descriptor.application));
    Ok(())
}
