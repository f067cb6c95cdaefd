//! Places for modules: picked by the platform, kept by the node.

use crate::control::failed;
use crate::loading::host_failed;
use crate::model::{AppChange, Change, ReservedModel};
use crate::node::{Node, Shared};
use crate::requests::{Answer, NAME_BYTES_MAX, app_of, done, refuse};
use std::rc::Rc;
use std::sync::Arc;
use veritee_host::{HostError, Platform, ReserveRequest};
use veritee_node_protocol::{FailureKind, ModuleName, Response};

/// What is asked for.
pub(crate) struct Order {
    pub(crate) name: ModuleName,
    pub(crate) platform: String,
    pub(crate) board: String,
    pub(crate) need: Vec<u8>,
}

/// What an order comes to before the platform is asked.
enum Found {
    /// The same was given before.
    Place(Vec<u8>),
    /// It is to be picked; these places are taken.
    Pick { platform: Arc<dyn Platform>, taken: Vec<Vec<u8>> },
}

/// Gives the place that is kept for a module, or picks one and keeps it.
pub(crate) async fn reserve(shared: &Shared, owner: u32, order: Order) -> Answer {
    let lengths = [order.name.module.len(), order.board.len()];
    if order.name.module.is_empty() || lengths.iter().any(|length| *length > NAME_BYTES_MAX) {
        return refuse(FailureKind::Malformed, "a module has a name, and a short one; so has a board");
    }
    if order.need.len() > NEED_BYTES_MAX {
        return refuse(FailureKind::Malformed, "the need is too long");
    }
    let turn = shared.look(|node| Rc::clone(&node.reserving));
    let _turn = turn.lock().await;
    let (platform, taken) = match shared.look(|node| find(node, owner, &order))? {
        Found::Place(place) => return Ok(Response::Reserved { place }),
        Found::Pick { platform, taken } => (platform, taken),
    };
    let (board, need) = (order.board.clone(), order.need.clone());
    let picked = tokio::task::spawn_blocking(move || pick(&*platform, &board, &need, &taken)).await;
    let place = match picked {
        Ok(picked) => picked.map_err(|error| host_failed(&error))?,
        Err(error) => return refuse(FailureKind::Internal, &error.to_string()),
    };
    let durable = shared.with(|node| {
        app_of(node, owner, order.name.application)?;
        let Order { name, platform, board, need } = order;
        let reserved = ReservedModel { platform, board, need, place: place.clone() };
        let change = AppChange::Reserved { module: name.module, reserved };
        Ok(node.change(vec![Change::InApp { owner, uuid: name.application, change }]))
    })?;
    done(durable).await.map(|_| Response::Reserved { place })
}

fn pick(platform: &dyn Platform, board: &str, need: &[u8], taken: &[Vec<u8>]) -> Result<Vec<u8>, HostError> {
    let taken: Vec<&[u8]> = taken.iter().map(Vec::as_slice).collect();
    platform.reserve(&ReserveRequest { board, need, taken: &taken })
}

fn find(node: &Node, owner: u32, order: &Order) -> Result<Found, Response> {
    let platform = node.platform(&order.platform);
    let platform = platform
        .ok_or_else(|| failed(FailureKind::NoPlatform, &format!("this node has no platform {}", order.platform)))?;
    let apps = node.model.owners.get(&owner).map(|owner| &owner.apps);
    let apps = apps.ok_or_else(|| failed(FailureKind::Forbidden, "this owner was removed"))?;
    let app = apps.get(&order.name.application);
    let kept = app.and_then(|app| app.reserved.get(&order.name.module));
    if let Some(kept) = kept
        && (&kept.platform, &kept.board, &kept.need) == (&order.platform, &order.board, &order.need)
    {
        return Ok(Found::Place(kept.place.clone()));
    }
    if app.is_some_and(|app| app.modules.contains_key(&order.name.module)) {
        let what = format!("{} is loaded with another reservation: unload it first", order.name.module);
        return refuse(FailureKind::Taken, &what);
    }
    let all: usize = apps.values().map(|app| app.reserved.len()).sum();
    if kept.is_none() && all >= node.config.limits.modules {
        return refuse(FailureKind::Quota, "no more reservations for this owner");
    }
    let taken = taken(node, &order.platform, Some((owner, &order.name)));
    Ok(Found::Pick { platform, taken: taken.into_iter().map(<[u8]>::to_vec).collect() })
}

/// All places of a platform that are kept, of all owners, but for one module's.
pub(crate) fn taken<'a>(node: &'a Node, platform: &str, but: Option<(u32, &ModuleName)>) -> Vec<&'a [u8]> {
    let mut places = Vec::new();
    for (owner, state) in &node.model.owners {
        for (uuid, app) in &state.apps {
            for (name, kept) in &app.reserved {
                let excepted = but
                    .is_some_and(|(excepted, but)| (excepted, &but.application, &but.module) == (*owner, uuid, name));
                if kept.platform == platform && !excepted {
                    places.push(kept.place.as_slice());
                }
            }
        }
    }
    places
}

/// Gives the place of a module back that is not loaded.
pub(crate) async fn release(shared: &Shared, owner: u32, name: ModuleName) -> Answer {
    let durable = shared.with(|node| {
        let app = node.model.owners.get(&owner)?.apps.get(&name.application)?;
        app.reserved.get(&name.module)?;
        let change = AppChange::Released { module: name.module };
        Some(node.change(vec![Change::InApp { owner, uuid: name.application, change }]))
    });
    match durable {
        Some(durable) => done(durable).await,
        None => Ok(Response::Done),
    }
}

const NEED_BYTES_MAX: usize = 1024;
