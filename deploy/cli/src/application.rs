//! Verbs about a lasting application.

use crate::emulated::Emulated;
use crate::exit::Exit;
use crate::grammar::Application;
use crate::printer::{Printer, report_text};
use crate::variant;
use anyhow::{Context, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use veritee_exec::build::build_all;
use veritee_exec::delegation::{self, Opened};
use veritee_exec::deploy::{Deployment, Owner, Place, Target, bring_up, leave, look_desk, reconnect};
use veritee_exec::fleet::{Fleet, Node};
use veritee_exec::home::Home;
use veritee_exec::provider::RemoteProvider;
use veritee_exec::resolve::{Body, Built, BuiltModule, boards, check_ports, resolve, sources};
use veritee_exec::seen::Seen;
use veritee_exec::settle::{Changes, settle};
use veritee_exec::state::State;
use veritee_exec::throwaway::Throwaway;
use veritee_exec::{ExecError, Talk, counted, hex, observe, resolve as resolving};
use veritee_ids::ApplicationId;
use veritee_model::Descriptor;
use veritee_node_protocol::{FailureKind, Request};

/// A descriptor with where it is.
pub(crate) struct Loaded {
    pub(crate) descriptor: Descriptor,
    pub(crate) folder: PathBuf,
    file: PathBuf,
}

impl Loaded {
    /// Reads and judges a descriptor.
    pub(crate) fn read(application: &Application) -> Result<Self> {
        let mut descriptor = Descriptor::read(&application.file).map_err(ExecError::from)?;
        variant::apply(&application.variant, &mut descriptor)?;
        let folder = application.file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        let checked = resolving::check(&descriptor, folder).map_err(|error| with_places(error, &application.file));
        checked.with_context(|| application.file.display().to_string())?;
        Ok(Self { descriptor, folder: folder.to_owned(), file: application.file.clone() })
    }

    /// Builds all modules and judges the descriptor against their ports. `home` has the owner's keys of boards.
    pub(crate) async fn build(&self, owner: &[u8; 32], home: &Home, printer: &Printer) -> Result<Built> {
        let built = self.build_images(owner, home, printer).await?;
        let warnings = check_ports(&self.descriptor, &built).map_err(|error| with_places(error, &self.file));
        for warning in warnings.with_context(|| self.file.display().to_string())? {
            printer.warn(&warning);
        }
        Ok(built)
    }

    /// Builds all modules.
    pub(crate) async fn build_images(
        &self, owner: &[u8; 32], home: &Home, printer: &Printer,
    ) -> Result<Built, ExecError> {
        let mut boards = boards(&self.descriptor, &home.boards()?)?;
        let images = build_all(&sources(&self.descriptor, &self.folder), &self.target(), owner, printer).await?;
        let mut built = Built::new();
        for (module, image) in images {
            let board = boards.remove(&module).map(|(key, _)| key);
            built.insert(module, BuiltModule { body: Body::Image(image), board, kept: None });
        }
        for (module, (key, driver)) in boards {
            let lent = |driver| BuiltModule { body: Body::Driver(driver), board: Some(key), kept: None };
            built.extend(driver.map(|driver| (module, lent(driver))));
        }
        Ok(built)
    }

    /// Where everything that is built goes.
    pub(crate) fn target(&self) -> PathBuf {
        self.folder.join("target")
    }

    /// Builds for a look only: boards that the owner has no keys of are made, and forgotten.
    async fn build_to_look(&self, printer: &Printer) -> Result<Built> {
        let home = Home::of_user();
        let owner = home.owner()?.public();
        if boards(&self.descriptor, &home.boards()?).is_ok() {
            return self.build(&owner, &home, printer).await;
        }
        let throwaway = Throwaway::new()?;
        Emulated::make(&self.descriptor, &self.target(), &throwaway, printer).await?;
        self.build(&owner, &throwaway.home(), printer).await
    }

    fn state_folder(&self) -> PathBuf {
        self.folder.join(".veritee")
    }

    /// Locks the state.
    pub(crate) fn state(&self, home: &Home) -> Result<State, ExecError> {
        let (folder, name) = (self.state_folder(), &self.descriptor.application);
        let lost = if State::exists(&folder) { None } else { home.lost_application(name, &folder)? };
        State::open(&folder, name, lost)
    }
}

/// Problems of a descriptor with line and column, where what they name is written.
fn with_places(error: ExecError, file: &Path) -> ExecError {
    match (error, std::fs::read_to_string(file)) {
        (ExecError::Descriptor(problems), Ok(text)) => {
            ExecError::Descriptor(problems.iter().map(|problem| veritee_model::placed(&text, problem)).collect())
        }
        (error, _) => error,
    }
}

/// The owner of this user.
pub(crate) fn owner(home: &Home) -> Result<Owner, ExecError> {
    Ok(Owner { identity: home.owner()?, root: home.root()?, delegated: None })
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
    let built = loaded.build_to_look(printer).await?;
    let modules = counted(built.len(), "module");
    let connections = counted(loaded.descriptor.connections.len(), "connection");
    printer.result(&serde_json::json!({"sound": true}), || {
        format!("{} is sound: {modules}, {connections}", application.file.display())
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
    let built = loaded.build_to_look(printer).await?;
    let images: Vec<ImageReport> = built
        .iter()
        .filter_map(|(module, built)| match &built.body {
            Body::Image(image) => Some((module, image)),
            Body::Driver(_) => None,
        })
        .map(|(module, image)| ImageReport {
            module: module.clone(),
            image: image.path.clone(),
            bytes: std::fs::metadata(&image.path).map_or(0, |data| data.len()),
            measurement: hex(&image.measurement),
        })
        .collect();
    printer.result(&images, || {
        let measured = |image: &ImageReport| match image.measurement.as_str() {
            "" => "measured where it is placed".to_owned(),
            measurement => measurement.to_owned(),
        };
        let lines = images.iter().map(|image| format!("{}  {} B  {}", measured(image), image.bytes, image.module));
        lines.collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

/// What is known of an application.
enum Known {
    /// Everything: it is the owner's own.
    Descriptor(Box<Loaded>),
    /// What the owner told his delegate, and from where.
    Delegation(Box<Opened>, PathBuf),
}

/// An application that is built, and whose nodes are reached. Its state is not touched yet.
pub(crate) struct Ready {
    /// The only module that matters; nodes of others may be down.
    only: Option<String>,
    known: Known,
    home: Home,
    owner: Owner,
    built: Built,
    fleet: Fleet,
}

impl Ready {
    /// With the nodes of all modules, or of the only one that matters. A delegate reaches all that he was told of.
    pub(crate) async fn prepare(
        application: &Application, only: impl FnOnce(&Descriptor) -> Option<String>, printer: &Printer,
    ) -> Result<Self> {
        if let Some(path) = &application.delegation {
            return Self::delegated(path).await;
        }
        let loaded = Loaded::read(application)?;
        let only = only(&loaded.descriptor);
        let home = Home::of_user();
        let owner = owner(&home)?;
        let built = loaded.build(&owner.identity.public(), &home, printer).await?;
        let mut ready =
            Self { only, known: Known::Descriptor(Box::new(loaded)), home, owner, built, fleet: Fleet::default() };
        ready.reach_again().await?;
        Ok(ready)
    }

    /// The same for a delegate: nothing is built, the file says what modules must measure.
    async fn delegated(path: &Path) -> Result<Self> {
        let home = Home::of_user();
        let opened = Opened::read(path)?;
        let owner = Owner { delegated: Some(opened.act(path, home.owner()?, delegation::now())?), ..owner(&home)? };
        let (_, built) = opened.target(path)?;
        let known = Known::Delegation(Box::new(opened), path.to_owned());
        let mut ready = Self { only: None, known, home, owner, built, fleet: Fleet::default() };
        ready.reach_again().await?;
        Ok(ready)
    }

    /// Locks the state and resolves the descriptor with it.
    pub(crate) async fn lasting(&self, changes: Changes, printer: &Printer) -> Result<Lasting> {
        let (home, mut built, owner) = (self.home.clone(), self.built.clone(), self.owner.clone());
        let mut fleet = self.fleet.clone();
        let (state, target) = match &self.known {
            Known::Descriptor(loaded) => {
                let descriptor = &loaded.descriptor;
                let mut state = loaded.state(&home)?;
                if self.only.is_none() {
                    reach(&mut fleet, state.placed.values().map(|placed| &placed.node), descriptor, &home).await?;
                }
                let matters = |name: &String| self.only.as_ref().is_none_or(|only| only == name);
                let mut settled: Built = built.extract_if(.., |name, _| matters(name)).collect();
                settle(descriptor, &mut settled, &fleet, (state.application, changes), printer).await?;
                built.append(&mut settled);
                let target = resolve(descriptor, &built, &fleet, &mut state)?;
                (state, target)
            }
            Known::Delegation(opened, path) => {
                let id = opened.application();
                let folder = home.folder().join(DELEGATED).join(hex(&id.0));
                (State::open(&folder, &opened.file.application, Some(id))?, opened.target(path)?.0)
            }
        };
        Ok(Lasting { home, built, state, target, fleet, owner })
    }
}

/// Where a delegate keeps what he did, in his home's folder: by application.
const DELEGATED: &str = "delegated";

/// Everything that a verb on a lasting application needs.
pub(crate) struct Lasting {
    pub(crate) home: Home,
    pub(crate) built: Built,
    pub(crate) state: State,
    pub(crate) target: Target,
    pub(crate) fleet: Fleet,
    pub(crate) owner: Owner,
}

impl Lasting {
    /// Builds, connects to the nodes, locks the state, resolves.
    pub(crate) async fn open(application: &Application, printer: &Printer) -> Result<Self> {
        Ready::prepare(application, |_| None, printer).await?.lasting(Changes::Wait, printer).await
    }

    /// The same for one module: no other one's node is asked.
    pub(crate) async fn of_module(application: &Application, module: &str, printer: &Printer) -> Result<Self> {
        let only = |_: &Descriptor| Some(module.to_owned());
        Ready::prepare(application, only, printer).await?.lasting(Changes::Wait, printer).await
    }

    pub(crate) fn place<'a>(&'a self, printer: &'a Printer) -> Place<'a> {
        Place { target: &self.target, fleet: &self.fleet, owner: &self.owner, talk: printer }
    }
}

/// The nodes of all modules of a descriptor, or of one.
fn nodes<'a>(descriptor: &'a Descriptor, only: Option<&str>) -> impl Iterator<Item = &'a String> {
    let modules = descriptor.modules.iter().filter(move |(name, _)| only.is_none_or(|only| only == *name));
    modules.map(|(_, module)| &module.node)
}

/// Opens channels to nodes that have none yet.
async fn reach(
    fleet: &mut Fleet, names: impl Iterator<Item = &String>, descriptor: &Descriptor, home: &Home,
) -> Result<(), ExecError> {
    for name in names {
        reach_one(fleet, name, descriptor, home).await?;
    }
    lenders(fleet, home)
}

/// Opens a channel to a node that has none yet.
pub(crate) async fn reach_one(
    fleet: &mut Fleet, name: &String, descriptor: &Descriptor, home: &Home,
) -> Result<(), ExecError> {
    if fleet.nodes.contains_key(name) {
        return Ok(());
    }
    let known = home.nodes()?;
    let node = known.get(name).ok_or_else(|| ExecError::UnknownNode { node: name.clone() })?;
    let address = descriptor.nodes.get(name).and_then(|node| node.address.as_ref()).unwrap_or(&node.address);
    fleet.nodes.insert(name.clone(), Node::connect(name, address, node.identity()?, &home.identity()?).await?);
    Ok(())
}

/// Providers who lend drivers; none is asked yet.
pub(crate) fn lenders(fleet: &mut Fleet, home: &Home) -> Result<(), ExecError> {
    for (node, boards) in home.boards()? {
        for key in boards.into_values() {
            let Some(provider) = &key.provider else { continue };
            let provider = RemoteProvider::new(provider, home.identity()?)?;
            fleet.providers.insert((node.clone(), key.board.clone()), provider);
        }
    }
    Ok(())
}

/// Opens channels on which a delegate speaks for the owner. He may know a node at another address than the owner.
async fn reach_for(fleet: &mut Fleet, opened: &Opened, home: &Home) -> Result<(), ExecError> {
    let (own, identity) = (home.nodes()?, home.identity()?);
    for (name, node) in &opened.file.nodes {
        let same = own.values().find(|known| known.fingerprint == node.fingerprint);
        let address = &same.unwrap_or(node).address;
        let channel = Node::connect(name, address, node.identity()?, &identity).await?;
        channel.act_for(opened.owner, &opened.bytes).await?;
        fleet.nodes.insert(name.clone(), channel);
    }
    Ok(())
}

pub(crate) async fn plan(application: Application, printer: &Printer) -> Result<()> {
    let lasting = Ready::prepare(&application, |_| None, printer).await?.lasting(Changes::Show, printer).await?;
    let steps = veritee_exec::plan::steps(&lasting.target, &lasting.state, &lasting.fleet).await?;
    printer.result(&steps, || if steps.is_empty() { "nothing to change".to_owned() } else { steps.join("\n") });
    Ok(())
}

pub(crate) async fn up(application: Application, watch: bool, printer: &Printer) -> Result<()> {
    if application.delegation.is_some() {
        return Lasting::open(&application, printer).await?.reconnect(printer).await;
    }
    let mut ready = Ready::prepare(&application, |_| None, printer).await?;
    let mut lasting = ready.lasting(Changes::Happen, printer).await?;
    let application = lasting.state.application;
    // Before the modules are connected: what is started again from here on is seen.
    let mut known = Some(restarts(&lasting.fleet, application).await?);
    let mut deployment = lasting.bring_up(printer).await?;
    lasting.report(&mut deployment, printer).await?;
    if !watch {
        return Ok(());
    }
    printer.say("watching; Ctrl-C ends the watch, not the application");
    // Nobody else may deploy while a repair goes on, but between repairs everybody may.
    drop((deployment, lasting));
    let mut trouble = String::new();
    // One for all turns: a Ctrl-C that comes while something else is done must not get lost.
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            _ = &mut interrupted => return Ok(()),
            () = tokio::time::sleep(WATCH_PAUSE) => {}
        }
        let said = match ready.repair(application, &mut known, printer).await {
            Ok(()) => String::new(),
            Err(error) if Exit::of(&error) == Exit::InUse => continue,
            Err(error) => {
                // What is in the way now may be gone at the next look. A daemon that comes back needs new channels, and
                // counts anew.
                let _ = ready.reach_again().await;
                known = None;
                error.to_string()
            }
        };
        if said != trouble && !said.is_empty() {
            printer.warn(&said);
        }
        trouble = said;
    }
}

/// How often a watcher looks.
const WATCH_PAUSE: Duration = Duration::from_secs(1);

impl Ready {
    /// Connects modules again that their nodes started again since `known`. Looking takes no lock.
    async fn repair(&self, application: ApplicationId, known: &mut Option<Restarts>, printer: &Printer) -> Result<()> {
        let now = restarts(&self.fleet, application).await?;
        if known.as_ref() != Some(&now) {
            self.lasting(Changes::Happen, printer).await?.bring_up(printer).await?;
            *known = Some(now);
        }
        Ok(())
    }

    /// Opens channels to all nodes anew.
    async fn reach_again(&mut self) -> Result<()> {
        let mut fleet = Fleet::default();
        match &self.known {
            Known::Descriptor(loaded) => {
                let only = self.only.as_deref();
                reach(&mut fleet, nodes(&loaded.descriptor, only), &loaded.descriptor, &self.home).await?;
            }
            Known::Delegation(opened, _) => reach_for(&mut fleet, opened, &self.home).await?,
        }
        self.fleet = fleet;
        Ok(())
    }
}

/// How often each module was started again, as its node tells.
type Restarts = BTreeMap<String, u64>;

async fn restarts(fleet: &Fleet, application: ApplicationId) -> Result<Restarts> {
    let mut restarts = Restarts::new();
    for node in fleet.nodes.values() {
        let modules = node.list(application.0).await?;
        let restarted = modules.into_iter().filter(|module| module.restarts > 0);
        restarts.extend(restarted.map(|module| (module.name.module, module.restarts)));
    }
    Ok(restarts)
}

impl Lasting {
    pub(crate) async fn bring_up(&mut self, printer: &Printer) -> Result<Deployment> {
        // Before any effect: a lost state is found again by what the home remembers.
        self.home.remember(self.state.application, &self.target.application, self.state.folder())?;
        let place = Place { target: &self.target, fleet: &self.fleet, owner: &self.owner, talk: printer };
        Ok(bring_up(place, &mut self.state).await?)
    }

    /// What a delegate can do of it.
    async fn reconnect(&mut self, printer: &Printer) -> Result<()> {
        let mut deployment = self.look(printer).await?;
        let place = Place { target: &self.target, fleet: &self.fleet, owner: &self.owner, talk: printer };
        reconnect(place, &mut self.state, &mut deployment).await?;
        self.report(&mut deployment, printer).await
    }

    pub(crate) async fn report(&self, deployment: &mut Deployment, printer: &Printer) -> Result<()> {
        let names = port_names(&self.built);
        let report = observe::report(self.place(printer), &self.state, deployment, &names).await?;
        Seen::note(&self.state, &mut deployment.desks).await?;
        printer.result(&report, || report_text(&report));
        Ok(())
    }

    /// Opens sessions without changing anything.
    async fn look(&self, printer: &Printer) -> Result<Deployment> {
        let mut deployment = Deployment { desks: Default::default(), connected: Default::default() };
        for (module, target) in &self.target.modules {
            match look_desk(self.place(printer), &self.state, module, target).await {
                Ok(desk) => drop(deployment.desks.insert(module.clone(), desk)),
                Err(error) if gone(&error) => printer.warn(&format!(
                    "module {module} does not live on {}: {error}; `veritee up` starts it",
                    target.node
                )),
                Err(error @ ExecError::NotLent(_)) => {
                    printer.warn(&format!("module {module}: {error}; `veritee up` takes it"));
                }
                Err(error @ (ExecError::Provider(_) | ExecError::ProviderUnreached(_))) => {
                    printer.warn(&format!("module {module}: {error}"));
                }
                Err(error @ ExecError::NotDelegable { .. }) => printer.warn(&error.to_string()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(deployment)
    }
}

/// Whether a module is not there, as its node claims.
fn gone(error: &ExecError) -> bool {
    matches!(error.failure(), Some(FailureKind::Dead | FailureKind::NotFound))
}

pub(crate) async fn status(application: Application, printer: &Printer) -> Result<()> {
    let lasting = Lasting::open(&application, printer).await?;
    let mut deployment = lasting.look(printer).await?;
    lasting.report(&mut deployment, printer).await
}

pub(crate) async fn disable(application: Application, module: &str, printer: &Printer) -> Result<()> {
    let lasting = Lasting::of_module(&application, module, printer).await?;
    let target = lasting.target.modules.get(module).ok_or_else(|| ExecError::NoSuch {
        what: "module",
        name: module.to_owned(),
        candidates: lasting.target.modules.keys().cloned().collect(),
    })?;
    look_desk(lasting.place(printer), &lasting.state, module, target).await?.disable().await?;
    printer.result(&serde_json::json!({"disabled": module}), || format!("{module} is disabled"));
    Ok(())
}

pub(crate) async fn down(application: Application, printer: &Printer) -> Result<()> {
    let loaded = Loaded::read(&application)?;
    let home = Home::of_user();
    let folder = loaded.state_folder();
    if !State::exists(&folder) && home.lost_application(&loaded.descriptor.application, &folder)?.is_none() {
        printer.result(&serde_json::json!({"down": true}), || "nothing is up".to_owned());
        return Ok(());
    }
    let mut state = loaded.state(&home)?;
    let mut fleet = Fleet::default();
    let nodes = loaded
        .descriptor
        .modules
        .values()
        .map(|module| &module.node)
        .chain(state.placed.values().map(|placed| &placed.node));
    reach(&mut fleet, nodes, &loaded.descriptor, &home).await?;
    let application = state.application;
    for node in fleet.nodes.values() {
        clear(node, application.0, printer).await?;
    }
    for (module, placed) in state.placed.clone() {
        match &placed.lent {
            Some(_) => leave(&fleet, &mut state, &module, &placed, printer).await?,
            None => state.forget(&module)?,
        }
    }
    for connection in state.assigned.clone().into_keys() {
        state.remove(&connection)?;
    }
    home.forget(application)?;
    printer.result(&serde_json::json!({"down": true}), || format!("{} is down", loaded.descriptor.application));
    Ok(())
}

/// Ends all modules of an application on a node, and its connections there: what the node has, not what a state says, for a lost
/// state says nothing.
pub(crate) async fn clear(node: &Node, application: [u8; 16], talk: &dyn Talk) -> Result<(), ExecError> {
    for module in node.list(application).await? {
        let name = module.name.module.clone();
        node.tell(Request::Unload { name: module.name }, "unload").await?;
        talk.done(&format!("unloaded {name} from {}", node.name));
    }
    for connection in node.figures(application).await?.connections {
        node.tell(Request::Unroute { application, connection: connection.connection }, "unroute").await?;
    }
    Ok(())
}
