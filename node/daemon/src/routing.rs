//! Routes: from requests and from the journal to the router.

use crate::model::{AppChange, Change, InModel, OutModel};
use crate::node::{Node, Shared};
use crate::requests::{Answer, NAME_BYTES_MAX, app_of, done, known_app, refuse};
use veritee_node_core::{AppIndex, Remote as Where, RouteIn, RouteOut};
use veritee_node_protocol::{FailureKind, Remote, Request, Response};

/// Sets or forgets a route.
pub(crate) async fn route(shared: &Shared, owner: u32, request: Request) -> Answer {
    let durable = shared.with(|node| {
        match request {
            Request::RouteOut { application, connection, source, source_row, target } => {
                let route = OutModel { source, source_row, target };
                route_out(node, owner, application, connection, route)
            }
            Request::RouteIn { application, connection, target, target_row, source, deadline_ms, port } => {
                let route = InModel { target, target_row, source, deadline_ms, port };
                route_in(node, owner, application, connection, route)
            }
            Request::Unroute { application, connection } => {
                let app = known_app(node, owner, &application)?;
                let dropped = node.router.unroute(app, connection);
                if dropped > 0 {
                    tracing::warn!(connection, dropped, "a route was forgotten with frames that waited");
                }
                node.update_known();
                Ok(vec![in_app(owner, application, AppChange::Unrouted { connection })])
            }
            _ => refuse(FailureKind::Malformed, "not a route"),
        }
        .map(|changes| node.change(changes))
    })?;
    done(durable).await
}

fn in_app(owner: u32, uuid: [u8; 16], change: AppChange) -> Change {
    Change::InApp { owner, uuid, change }
}

fn route_out(
    node: &mut Node, owner: u32, uuid: [u8; 16], connection: u16, route: OutModel,
) -> Result<Vec<Change>, Response> {
    if route.target == Remote::Owner {
        return refuse(FailureKind::Malformed, "an owner is a source of direct connections, never a target");
    }
    check_names(&route.source, &route.target)?;
    let app = may_route(node, owner, uuid, connection)?;
    apply_out(node, app, connection, &route);
    node.update_known();
    Ok(vec![in_app(owner, uuid, AppChange::Out { connection, route })])
}

fn route_in(
    node: &mut Node, owner: u32, uuid: [u8; 16], connection: u16, route: InModel,
) -> Result<Vec<Change>, Response> {
    check_names(&route.target, &route.source)?;
    let app = may_route(node, owner, uuid, connection)?;
    apply_in(node, app, connection, &route);
    node.update_known();
    Ok(vec![in_app(owner, uuid, AppChange::In { connection, route })])
}

fn check_names(module: &str, remote: &Remote) -> Result<(), Response> {
    let long = match remote {
        Remote::Here { module } => module.len() > NAME_BYTES_MAX,
        Remote::Node { address, .. } => address.len() > ADDRESS_BYTES_MAX,
        Remote::Owner => false,
    };
    if long || module.is_empty() || module.len() > NAME_BYTES_MAX {
        return refuse(FailureKind::Malformed, "a name or address is missing or too long");
    }
    Ok(())
}

fn may_route(node: &mut Node, owner: u32, uuid: [u8; 16], connection: u16) -> Result<AppIndex, Response> {
    let app = app_of(node, owner, uuid)?;
    if !node.router.is_routed(app, connection) {
        let apps = &node.model.owners[&owner].apps;
        let routes: usize = apps.values().map(|app| app.outs.len() + app.ins.len()).sum();
        if routes >= node.config.limits.routes {
            return refuse(FailureKind::Quota, "no more routes for this owner");
        }
    }
    Ok(app)
}

/// Gives the router a source's half.
pub(crate) fn apply_out(node: &mut Node, app: AppIndex, connection: u16, route: &OutModel) {
    let source = node.router.module(app, &route.source);
    let target = place(node, app, &route.target);
    let source_row = node.router.lent_row(source, connection).unwrap_or(route.source_row);
    node.router.route_out(app, connection, RouteOut { source, source_row, target });
}

/// Gives the router a target's half.
pub(crate) fn apply_in(node: &mut Node, app: AppIndex, connection: u16, route: &InModel) {
    let target = node.router.module(app, &route.target);
    let source = place(node, app, &route.source);
    let deadline = u64::from(route.deadline_ms) * 1000;
    let now = node.now();
    let target_row = node.router.lent_row(target, connection).unwrap_or(route.target_row);
    let route = RouteIn { target, target_row, source, deadline, port: route.port };
    node.router.route_in(now, app, connection, route);
}

fn place(node: &mut Node, app: AppIndex, remote: &Remote) -> Where {
    match remote {
        Remote::Here { module } => Where::Here(node.router.module(app, module)),
        Remote::Node { address, identity } => {
            node.know_peer(*identity);
            Where::Node { identity: *identity, address: address.clone() }
        }
        Remote::Owner => Where::Owner,
    }
}

const ADDRESS_BYTES_MAX: usize = 512;
