//! Drivers that a provider lends to applications of other owners: `docs/design/0009-drivers-on-nodes.md`.

use crate::model::{AppChange, Change, LentModel};
use crate::node::{Node, Shared};
use crate::requests::{Answer, NAME_BYTES_MAX, app_of, done, module_index, refuse};
use crate::routing;
use veritee_node_core::{AppIndex, ModuleIndex};
use veritee_node_protocol::{FailureKind, IdentityKey, ModuleName, Response};

/// Most connections that a driver serves for one application.
const CONNECTIONS_MAX: usize = 256;

/// To whom a driver is lent.
pub(crate) struct Borrower {
    pub(crate) identity: IdentityKey,
    pub(crate) application: [u8; 16],
}

/// Lends a driver of `owner`; what was lent before is replaced.
pub(crate) async fn lend(shared: &Shared, owner: u32, name: ModuleName, borrower: Borrower, lent: LentModel) -> Answer {
    if lent.module.is_empty() || lent.module.len() > NAME_BYTES_MAX || lent.connections.len() > CONNECTIONS_MAX {
        return refuse(FailureKind::Malformed, "a lent module has a short name and at most 256 connections");
    }
    let durable = shared.with(|node| {
        let driver = driver(node, owner, &name)?;
        let (to, app) = borrowing(node, owner, &borrower)?;
        node.model_lend(driver, (to, borrower.application, app), &lent)?;
        let key = (name.module.clone(), to, borrower.application);
        let known = node.model.owners.get(&owner).and_then(|state| state.apps.get(&name.application));
        if known.is_some_and(|app| app.lent.get(&key) == Some(&lent)) {
            return Ok(None);
        }
        let change = AppChange::Lent { name: name.module, owner: to, uuid: borrower.application, lent: Some(lent) };
        Ok(Some(node.change(vec![Change::InApp { owner, uuid: name.application, change }])))
    })?;
    match durable {
        Some(durable) => done(durable).await,
        None => Ok(Response::Done),
    }
}

/// Takes a driver back. Nothing is lent after it, whatever was before.
pub(crate) async fn take_back(shared: &Shared, owner: u32, name: ModuleName, borrower: Borrower) -> Answer {
    let durable = shared.with(|node| {
        let driver = driver(node, owner, &name)?;
        let Some(to) = node.model.owner_of(&borrower.identity) else { return Ok(None) };
        let borrowed = node.owners.get(&to).and_then(|state| state.apps.get(&borrower.application)).copied();
        let Some(app) = borrowed else { return Ok(None) };
        let dropped = node.router.take_back(driver, app);
        if dropped > 0 {
            tracing::warn!(driver = name.module, dropped, "a driver was taken back with frames that waited");
        }
        let change = AppChange::Lent { name: name.module, owner: to, uuid: borrower.application, lent: None };
        Ok(Some(node.change(vec![Change::InApp { owner, uuid: name.application, change }])))
    })?;
    match durable {
        Some(durable) => done(durable).await,
        None => Ok(Response::Done),
    }
}

fn driver(node: &Node, owner: u32, name: &ModuleName) -> Result<ModuleIndex, Response> {
    match module_index(node, owner, &name.application, &name.module) {
        Some(driver) => Ok(driver),
        None => refuse(FailureKind::NotFound, &format!("no module {} here", name.module)),
    }
}

/// The borrower's number and application, which is made if it is new here.
fn borrowing(node: &mut Node, owner: u32, borrower: &Borrower) -> Result<(u32, AppIndex), Response> {
    let Some(to) = node.model.owner_of(&borrower.identity) else {
        return refuse(FailureKind::NotFound, "the borrower is no owner on this node");
    };
    if to == owner {
        return refuse(FailureKind::Malformed, "a module is lent to another owner");
    }
    Ok((to, app_of(node, to, borrower.application)?))
}

impl Node {
    /// Tells the router what is lent. Routes that named the module before are set anew.
    fn model_lend(
        &mut self, driver: ModuleIndex, (to, uuid, app): (u32, [u8; 16], AppIndex), lent: &LentModel,
    ) -> Result<(), Response> {
        if self.model.owners[&to].apps.get(&uuid).is_some_and(|app| app.modules.contains_key(&lent.module)) {
            return refuse(FailureKind::Taken, &format!("the borrower has a module {} of his own here", lent.module));
        }
        for connection in &lent.connections {
            if !self.router.lend(driver, *connection, app) {
                let text = format!("connection number {} is another application's at this driver", connection.0);
                return refuse(FailureKind::Taken, &text);
            }
        }
        let dropped = self.router.lend_only(driver, app, &lent.connections);
        if dropped > 0 {
            tracing::warn!(
                module = lent.module,
                dropped,
                "connections of a driver were taken back with frames that waited"
            );
        }
        self.router.name_lent(app, &lent.module, driver);
        self.set_routes_again(to, uuid, app, &lent.module);
        Ok(())
    }

    /// Routes to a lent module lead to its rows, which may be known only now.
    fn set_routes_again(&mut self, owner: u32, uuid: [u8; 16], app: AppIndex, module: &str) {
        let model = self.model.owners[&owner].apps.get(&uuid).cloned().unwrap_or_default();
        for (connection, route) in model.outs.iter().filter(|(_, route)| route.source == module) {
            routing::apply_out(self, app, *connection, route);
        }
        for (connection, route) in model.ins.iter().filter(|(_, route)| route.target == module) {
            routing::apply_in(self, app, *connection, route);
        }
    }

    /// Puts back what was lent before a restart. What is lent to owners or applications that are gone is forgotten.
    pub(crate) fn restore_lent(&mut self) {
        let mut all = Vec::new();
        for (owner, model) in &self.model.owners {
            for (uuid, app) in &model.apps {
                all.extend(app.lent.iter().map(|(key, lent)| (*owner, *uuid, key.clone(), lent.clone())));
            }
        }
        for (owner, uuid, (name, to, borrowed), lent) in all {
            let app = |owner: u32, uuid: [u8; 16]| self.owners.get(&owner)?.apps.get(&uuid).copied();
            let (Some(lender), Some(borrower)) = (app(owner, uuid), app(to, borrowed)) else { continue };
            let driver = self.router.module(lender, &name);
            if self.model_lend(driver, (to, borrowed, borrower), &lent).is_err() {
                tracing::warn!(driver = name, "a driver cannot be lent as it was before");
            }
        }
    }
}
