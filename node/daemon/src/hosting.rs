//! Modules: started, adopted, watched, ended.

use crate::node::{Node, Shared};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::AbortHandle;
use veritee_host::{HostError, Hosted, LoadRequest, Platform};
use veritee_node_core::ModuleIndex;

/// A loaded module.
pub(crate) struct Host {
    pub(crate) owner: u32,
    pub(crate) application: [u8; 16],
    pub(crate) name: String,
    /// The running instance; `None` once it has ended.
    pub(crate) hosted: Option<Box<dyn Hosted>>,
    /// Which instance it is: a watcher of an older one has no say.
    pub(crate) instance: u64,
    watchers: Vec<AbortHandle>,
    pub(crate) death: String,
    pub(crate) restarts: u64,
    /// It is being started: nobody else may start it.
    pub(crate) starting: bool,
    /// Its owner, or a stop of the node, ends it: its death is no news.
    pub(crate) ending: bool,
    /// How it broke its channel, for which it is ended.
    broken: Option<String>,
}

impl Host {
    pub(crate) const fn new(owner: u32, application: [u8; 16], name: String) -> Self {
        Self {
            owner,
            application,
            name,
            hosted: None,
            instance: 0,
            watchers: Vec::new(),
            death: String::new(),
            restarts: 0,
            starting: false,
            ending: false,
            broken: None,
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.watchers.iter().for_each(AbortHandle::abort);
    }
}

/// What a pull came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pulled {
    /// Nothing waits any more.
    All,
    /// More may wait.
    Some,
    /// The instance is not the module's any more, or broke its channel.
    Gone,
}

/// The folder of a module: its image, and the folder of its instance.
pub(crate) fn folder(state: &Path, number: u32) -> PathBuf {
    state.join("modules").join(number.to_string())
}

/// Keeps an image in the module's folder, durable. Runs where blocking is allowed.
pub(crate) fn keep_image(folder: &Path, image: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    std::fs::create_dir_all(folder)?;
    let fresh = folder.join("image.new");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(image)?;
    file.sync_all()?;
    std::fs::rename(&fresh, folder.join("image"))?;
    std::fs::File::open(folder)?.sync_all()?;
    let parent = folder.parent().ok_or_else(|| std::io::Error::other("a module's folder has a parent"))?;
    std::fs::File::open(parent)?.sync_all()
}

/// Starts an instance of the image that the module's folder keeps, in an empty folder of its own.
fn load(platform: &dyn Platform, folder: &Path, start: &Start) -> Result<Box<dyn Hosted>, HostError> {
    let system = |action: &str| {
        let action = action.to_owned();
        move |source| HostError::System { action, source }
    };
    let image = std::fs::read(folder.join("image")).map_err(system("read the image"))?;
    let directory = folder.join("instance");
    match std::fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(system("empty the instance's folder")(error));
        }
        _ => {}
    }
    std::fs::create_dir_all(&directory).map_err(system("make the instance's folder"))?;
    let Start { label, place, provider } = start;
    platform.load(&LoadRequest { image: &image, directory: &directory, label, place, provider: *provider })
}

/// What an instance starts with besides its image.
struct Start {
    label: String,
    place: Vec<u8>,
    provider: bool,
}

/// Starts an instance off the thread of the node, then watches it.
pub(crate) async fn start(shared: &Shared, module: ModuleIndex, platform: Arc<dyn Platform>) -> Result<(), HostError> {
    let Some((folder, start)) = shared.with(|node| {
        let number = node.module_model(module)?.number;
        let folder = folder(&node.config.state, number);
        let host = node.hosts.get_mut(module)?;
        host.starting = true;
        let (owner, application, name) = (host.owner, host.application, host.name.clone());
        let owner = node.model.owners.get(&owner)?;
        let reserved = owner.apps.get(&application).and_then(|app| app.reserved.get(&name));
        let place = reserved.map_or_else(Vec::new, |reserved| reserved.place.clone());
        let provider = owner.keys.last().is_some_and(|key| node.config.is_provider(key));
        Some((folder, Start { label: name, place, provider }))
    }) else {
        return Ok(());
    };
    let loaded = tokio::task::spawn_blocking(move || load(&*platform, &folder, &start)).await;
    let loaded = loaded.unwrap_or_else(|panic| {
        Err(HostError::System { action: "load the image".to_owned(), source: std::io::Error::other(panic) })
    });
    shared.with(|node| {
        if let Some(host) = node.hosts.get_mut(module) {
            host.starting = false;
        }
    });
    run(shared, module, loaded?)
}

/// Makes an instance the module's, and watches it.
pub(crate) fn run(shared: &Shared, module: ModuleIndex, mut hosted: Box<dyn Hosted>) -> Result<(), HostError> {
    let watched = |fd: BorrowedFd<'_>| {
        watch(fd).map_err(|source| HostError::System { action: "watch the instance".to_owned(), source })
    };
    let (wake, death) = match (watched(hosted.wake_fd()), watched(hosted.death_fd())) {
        (Ok(wake), Ok(death)) => (wake, death),
        (Err(error), _) | (_, Err(error)) => {
            hosted.end();
            return Err(error);
        }
    };
    shared.with(|node| {
        let Some(host) = node.hosts.get_mut(module) else {
            hosted.end();
            return;
        };
        host.hosted = Some(hosted);
        host.instance += 1;
        host.broken = None;
        let instance = host.instance;
        host.watchers = vec![
            tokio::task::spawn_local(watch_outputs(shared.clone(), module, instance, wake)).abort_handle(),
            tokio::task::spawn_local(watch_death(shared.clone(), module, instance, death)).abort_handle(),
        ];
        if host.ending
            && let Some(hosted) = host.hosted.as_mut()
        {
            // Unloaded while it was being started.
            hosted.end();
        }
        node.router.module_up(module, node.first_call);
    });
    Ok(())
}

/// A descriptor of its own that the runtime watches.
fn watch(fd: BorrowedFd<'_>) -> std::io::Result<AsyncFd<OwnedFd>> {
    #[expect(deprecated, reason = "its successor is unsafe for descriptors that are closed early; an owned one is not")]
    AsyncFd::with_interest(fd.try_clone_to_owned()?, Interest::READABLE)
}

async fn watch_outputs(shared: Shared, module: ModuleIndex, instance: u64, wake: AsyncFd<OwnedFd>) {
    loop {
        // What an adopted instance left before this daemon came is pulled without waiting.
        loop {
            match shared.with(|node| node.pull(module, instance)) {
                Pulled::All => break,
                Pulled::Some => tokio::task::yield_now().await,
                Pulled::Gone => return,
            }
        }
        let Ok(mut ready) = wake.readable().await else { return };
        if ready.ready().is_read_closed() {
            // The other end is gone; its death is watched elsewhere.
            return;
        }
        // Cleared before the pull: a doorbell that rings in between is not missed.
        ready.clear_ready();
    }
}

async fn watch_death(shared: Shared, module: ModuleIndex, instance: u64, death: AsyncFd<OwnedFd>) {
    let Ok(ready) = death.readable().await else { return };
    drop(ready);
    let restart = shared.with(|node| {
        while node.pull(module, instance) == Pulled::Some {}
        node.died(module, instance)
    });
    if let Some(platform) = restart {
        start_again(shared, module, platform).await;
    }
}

/// Starts a module that died; tries again for as long as the device that it runs on does not answer.
pub(crate) async fn start_again(shared: Shared, module: ModuleIndex, platform: Arc<dyn Platform>) {
    loop {
        match start(&shared, module, Arc::clone(&platform)).await {
            Ok(()) => return,
            Err(HostError::Unreachable { reason }) => tracing::debug!(reason, "a module waits for its device"),
            Err(error) => {
                tracing::error!(%error, "a module cannot be restarted");
                return;
            }
        }
        tokio::time::sleep(DEVICE_PAUSE).await;
        let wanted = shared.look(|node| {
            let restart = node.module_model(module).is_some_and(|model| model.restart);
            let idle = |host: &Host| host.hosted.is_none() && !host.starting && !host.ending;
            restart && node.hosts.get(module).is_some_and(idle)
        });
        if !wanted {
            return;
        }
    }
}

impl Node {
    /// Takes outputs of a module; true when more may wait.
    pub(crate) fn pull(&mut self, module: ModuleIndex, instance: u64) -> Pulled {
        let now = self.now();
        let Some(host) = self.hosts.get_mut(module).filter(|host| host.instance == instance) else {
            return Pulled::Gone;
        };
        let Some(hosted) = host.hosted.as_mut() else { return Pulled::Gone };
        let router = &mut self.router;
        let mut broken = None;
        let pulled = hosted.pull(PULL_MAX, &mut |output| {
            if let Err(fault) = router.output(now, module, output.position, output.call, output.bytes) {
                broken.get_or_insert(fault.to_string());
            }
        });
        let pulled = match pulled {
            Ok(pulled) => pulled,
            Err(error) => {
                broken.get_or_insert(error.to_string());
                0
            }
        };
        if let Some(fault) = broken {
            tracing::error!(module = host.name, fault, "a module broke its channel and is ended");
            host.broken = Some(fault);
            hosted.end();
            return Pulled::Gone;
        }
        if pulled == PULL_MAX { Pulled::Some } else { Pulled::All }
    }

    /// Notes that an instance has ended. Gives the platform when it is to be started again.
    fn died(&mut self, module: ModuleIndex, instance: u64) -> Option<Arc<dyn Platform>> {
        let host = self.hosts.get_mut(module).filter(|host| host.instance == instance)?;
        let mut hosted = host.hosted.take()?;
        let reason = hosted.death().map_or_else(|| "it ended".to_owned(), |death| death.reason);
        host.death = host.broken.take().unwrap_or(reason);
        let on_purpose = host.ending;
        let (name, reason) = (host.name.clone(), host.death.clone());
        self.router.module_down(module);
        self.counts.module_deaths += 1;
        if on_purpose {
            tracing::info!(module = name, reason, "a module was ended");
        } else {
            tracing::warn!(module = name, reason, "a module died");
        }
        let model = self.module_model(module)?;
        if !model.restart || on_purpose {
            return None;
        }
        let platform = self.platform(&model.platform.clone())?;
        let host = self.hosts.get_mut(module)?;
        host.restarts += 1;
        self.counts.module_restarts += 1;
        Some(platform)
    }

    pub(crate) fn module_model(&self, module: ModuleIndex) -> Option<&crate::model::ModuleModel> {
        let host = self.hosts.get(module)?;
        self.model.owners.get(&host.owner)?.apps.get(&host.application)?.modules.get(&host.name)
    }

    pub(crate) fn platform(&self, name: &str) -> Option<Arc<dyn Platform>> {
        let allowed = self.config.platforms.is_empty() || self.config.platforms.iter().any(|word| word == name);
        self.platforms.iter().find(|platform| allowed && platform.name() == name).cloned()
    }
}

/// Outputs that are taken at once, before other events have their turn.
const PULL_MAX: usize = 512;
const DEVICE_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);
