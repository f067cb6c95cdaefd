//! Loading and unloading modules.

use crate::control::failed;
use crate::hosting::{self, Host};
use crate::model::{AppChange, Change, ModuleModel};
use crate::node::{Node, Shared};
use crate::requests::{Answer, NAME_BYTES_MAX, app_of, done, module_index, refuse};
use crate::reserving;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use veritee_host::{HostError, Platform};
use veritee_node_core::ModuleIndex;
use veritee_node_protocol::{FailureKind, ModuleName, Response};

/// What is to be loaded.
pub(crate) struct Order {
    pub(crate) name: ModuleName,
    pub(crate) platform: String,
    pub(crate) image: Vec<u8>,
    pub(crate) restart: bool,
}

/// What loading an order comes to before anything is started.
enum Start {
    /// It lives already.
    Nothing,
    /// Start it; these changes are to be remembered before.
    Load { module: ModuleIndex, platform: Arc<dyn Platform>, number: u32, changes: Vec<Change> },
}

/// Starts a module, unless the same one lives already.
pub(crate) async fn load(shared: &Shared, owner: u32, order: Order) -> Answer {
    let hash: [u8; 32] = Sha256::digest(&order.image).into();
    let Order { name, platform, image, restart } = order;
    if name.module.is_empty() || name.module.len() > NAME_BYTES_MAX {
        return refuse(FailureKind::Malformed, "a module has a name, and a short one");
    }
    let start = shared.with(|node| {
        if image.len() > node.config.limits.image_bytes {
            return refuse(FailureKind::Quota, "the image is larger than this node allows");
        }
        prepare(node, owner, &name, &platform, (hash, restart))
    })?;
    let Start::Load { module, platform, number, changes } = start else { return Ok(Response::Done) };
    let loaded = load_image(shared, module, platform, number, image).await;
    if let Err(refusal) = loaded {
        // Nothing lives: the name is free again.
        shared.with(|node| forget(node, owner, &name, module));
        return Err(refusal);
    }
    let durable = shared.with(|node| node.change(changes));
    let answer = done(durable).await;
    tracing::info!(module = name.module, "a module was loaded");
    answer
}

fn prepare(
    node: &mut Node, owner: u32, name: &ModuleName, platform: &str, (image, restart): ([u8; 32], bool),
) -> Result<Start, Response> {
    let Some(found) = node.platform(platform) else {
        return refuse(FailureKind::NoPlatform, &format!("this node has no platform {platform}"));
    };
    let app = app_of(node, owner, name.application)?;
    let apps = &node.model.owners[&owner].apps;
    let existing = apps[&name.application].modules.get(&name.module).cloned();
    let modules: usize = apps.values().map(|app| app.modules.len()).sum();
    if existing.is_none() && modules >= node.config.limits.modules {
        return refuse(FailureKind::Quota, "no more modules for this owner");
    }
    if existing.as_ref().is_some_and(|module| module.image != image || module.platform != platform) {
        return refuse(FailureKind::Taken, &format!("{} is another module here: unload it first", name.module));
    }
    if node.router.lent_module(app, &name.module).is_some() {
        return refuse(FailureKind::Taken, &format!("{} is a driver that was lent to this application", name.module));
    }
    let module = node.router.module(app, &name.module);
    let number = existing.as_ref().map_or(node.model.next_module, |existing| existing.number);
    let model = ModuleModel { number, platform: platform.to_owned(), image, restart };
    let change = AppChange::Module { name: name.module.clone(), module: model };
    let change = Change::InApp { owner, uuid: name.application, change };
    node.model.apply(change.clone());
    let changes = vec![change];
    if let Some(host) = node.hosts.get(module) {
        if host.starting {
            return refuse(FailureKind::Unavailable, "the module is being started");
        }
        if host.hosted.is_some() {
            drop(node.change(changes));
            return Ok(Start::Nothing);
        }
    } else {
        node.hosts.insert(module, Host::new(owner, name.application, name.module.clone()));
    }
    let host = node.hosts.get_mut(module).expect("it was just inserted");
    host.starting = true;
    host.ending = false;
    Ok(Start::Load { module, platform: found, number, changes })
}

async fn load_image(
    shared: &Shared, module: ModuleIndex, platform: Arc<dyn Platform>, number: u32, image: Vec<u8>,
) -> Result<(), Response> {
    let folder = shared.look(|node| hosting::folder(&node.config.state, number));
    let kept = tokio::task::spawn_blocking(move || hosting::keep_image(&folder, &image)).await;
    match kept {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return refuse(FailureKind::Internal, &format!("cannot keep the image: {error}")),
        Err(error) => return refuse(FailureKind::Internal, &error.to_string()),
    }
    hosting::start(shared, module, platform).await.map_err(|error| host_failed(&error))
}

/// What a platform's refusal is in the words of the protocol.
pub(crate) fn host_failed(error: &HostError) -> Response {
    let kind = match error {
        HostError::BadImage { .. } => FailureKind::BadImage,
        HostError::NoRoom { .. } => FailureKind::NoRoom,
        HostError::Unreachable { .. } => FailureKind::Unavailable,
        HostError::Denied { .. } => FailureKind::Forbidden,
        _ => FailureKind::Internal,
    };
    failed(kind, &error.to_string())
}

fn forget(node: &mut Node, owner: u32, name: &ModuleName, module: ModuleIndex) {
    let change = AppChange::ModuleGone { name: name.module.clone() };
    node.hosts.remove(module);
    // Whether a restarted node remembers the attempt makes no difference to anybody.
    drop(node.change(vec![Change::InApp { owner, uuid: name.application, change }]));
}

/// Ends a module and forgets it. Its routes stay.
pub(crate) async fn unload(shared: &Shared, owner: u32, name: ModuleName) -> Answer {
    let Some((module, folder)) = shared.with(|node| {
        let module = module_index(node, owner, &name.application, &name.module)?;
        let number = node.module_model(module).map(|model| model.number)?;
        let host = node.hosts.get_mut(module)?;
        host.ending = true;
        if let Some(hosted) = host.hosted.as_mut() {
            hosted.end();
        }
        Some((module, hosting::folder(&node.config.state, number)))
    }) else {
        return reserving::release(shared, owner, name).await;
    };
    if !wait_for_end(shared, module).await {
        return refuse(FailureKind::Unavailable, "the module does not end: try again");
    }
    let durable = shared.with(|node| {
        let removed = remove_timers(node, owner, &name);
        node.hosts.remove(module);
        let mut changes = removed;
        changes.push(AppChange::Released { module: name.module.clone() });
        changes.push(AppChange::ModuleGone { name: name.module.clone() });
        let in_app = |change| Change::InApp { owner, uuid: name.application, change };
        node.change(changes.into_iter().map(in_app).collect())
    });
    let answer = done(durable).await;
    let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
    if let Ok(Err(error)) = removed
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "cannot remove the folder of a module");
    }
    answer
}

/// Ends the timers of a module.
fn remove_timers(node: &mut Node, owner: u32, name: &ModuleName) -> Vec<AppChange> {
    let mut changes = Vec::new();
    let Some(state) = node.owners.get_mut(&owner) else { return changes };
    let gone = state
        .timers
        .extract_if(.., |(application, module, _), _| *application == name.application && *module == name.module);
    for ((_, module, timer), index) in gone {
        node.router.remove_timer(index);
        changes.push(AppChange::TimerGone { module, timer });
    }
    changes
}

pub(crate) async fn wait_for_end(shared: &Shared, module: ModuleIndex) -> bool {
    for _ in 0..END_PATIENCE_MS {
        let running =
            shared.look(|node| node.hosts.get(module).is_some_and(|host| host.hosted.is_some() || host.starting));
        if !running {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    false
}

const END_PATIENCE_MS: u32 = 5_000;
