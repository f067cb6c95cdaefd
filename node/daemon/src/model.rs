//! What a node remembers over restarts: owners, applications, modules, routes, timers. A model and the changes to it.

use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};
use veritee_node_protocol::{IdentityKey, Remote};

/// An application's UUID.
pub(crate) type Uuid = [u8; 16];

/// Everything that is remembered.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Model {
    pub(crate) next_owner: u32,
    pub(crate) next_app: u32,
    pub(crate) next_module: u32,
    /// Tokens that were used (their public halves).
    pub(crate) spent: BTreeSet<IdentityKey>,
    pub(crate) owners: BTreeMap<u32, OwnerModel>,
}

/// An owner's namespace.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct OwnerModel {
    /// His identities; the last one counts.
    pub(crate) keys: Vec<IdentityKey>,
    pub(crate) apps: BTreeMap<Uuid, AppModel>,
}

/// An application.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct AppModel {
    /// Its number in the outbox.
    pub(crate) number: u32,
    pub(crate) modules: BTreeMap<String, ModuleModel>,
    pub(crate) outs: BTreeMap<u16, OutModel>,
    pub(crate) ins: BTreeMap<u16, InModel>,
    pub(crate) dead: BTreeMap<u16, u32>,
    pub(crate) timers: BTreeMap<(String, String), TimerModel>,
    /// Places that are kept for modules, loaded or not, by their names.
    pub(crate) reserved: BTreeMap<String, ReservedModel>,
    /// Modules that are lent: which one, to which owner, for which application.
    pub(crate) lent: BTreeMap<(String, u32, Uuid), LentModel>,
}

/// A loaded module.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub(crate) struct ModuleModel {
    /// Its number: the name of its folder. Never used again.
    #[n(0)]
    pub(crate) number: u32,
    #[n(1)]
    pub(crate) platform: String,
    /// SHA-256 of its image.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) image: [u8; 32],
    #[n(3)]
    pub(crate) restart: bool,
}

/// What a borrower has of a module.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub(crate) struct LentModel {
    /// What he calls it.
    #[n(0)]
    pub(crate) module: String,
    /// The connections that it serves for him, with their rows.
    #[n(1)]
    pub(crate) connections: Vec<(u16, u16)>,
}

/// A place that is kept for a module.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub(crate) struct ReservedModel {
    #[n(0)]
    pub(crate) platform: String,
    /// The board that was asked for; empty for any.
    #[n(1)]
    pub(crate) board: String,
    /// What was asked for, in the platform's form.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) need: Vec<u8>,
    /// What was given, in the platform's form.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub(crate) place: Vec<u8>,
}

/// The source's half of a route.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub(crate) struct OutModel {
    #[n(0)]
    pub(crate) source: String,
    #[n(1)]
    pub(crate) source_row: u16,
    #[n(2)]
    pub(crate) target: Remote,
}

/// The target's half of a route.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub(crate) struct InModel {
    #[n(0)]
    pub(crate) target: String,
    #[n(1)]
    pub(crate) target_row: u16,
    #[n(2)]
    pub(crate) source: Remote,
    #[n(3)]
    pub(crate) deadline_ms: u32,
    #[n(4)]
    pub(crate) port: u16,
}

/// A timer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub(crate) struct TimerModel {
    #[n(0)]
    pub(crate) entry: u16,
    #[n(1)]
    pub(crate) period_ms: u32,
}

/// One change: an entry of the journal.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub(crate) enum Change {
    #[n(0)]
    Numbers {
        #[n(0)]
        owner: u32,
        #[n(1)]
        app: u32,
        #[n(2)]
        module: u32,
    },
    #[n(1)]
    Spent {
        #[cbor(n(0), with = "minicbor::bytes")]
        token: IdentityKey,
    },
    /// The namespace is made with its first identity.
    #[n(2)]
    Identity {
        #[n(0)]
        owner: u32,
        #[cbor(n(1), with = "minicbor::bytes")]
        key: IdentityKey,
    },
    #[n(3)]
    Revoked {
        #[n(0)]
        owner: u32,
    },
    #[n(4)]
    App {
        #[n(0)]
        owner: u32,
        #[cbor(n(1), with = "minicbor::bytes")]
        uuid: Uuid,
        #[n(2)]
        number: u32,
    },
    #[n(5)]
    AppGone {
        #[n(0)]
        owner: u32,
        #[cbor(n(1), with = "minicbor::bytes")]
        uuid: Uuid,
    },
    #[n(6)]
    InApp {
        #[n(0)]
        owner: u32,
        #[cbor(n(1), with = "minicbor::bytes")]
        uuid: Uuid,
        #[n(2)]
        change: AppChange,
    },
}

/// A change inside of an application.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub(crate) enum AppChange {
    #[n(0)]
    Module {
        #[n(0)]
        name: String,
        #[n(1)]
        module: ModuleModel,
    },
    #[n(1)]
    ModuleGone {
        #[n(0)]
        name: String,
    },
    #[n(2)]
    Out {
        #[n(0)]
        connection: u16,
        #[n(1)]
        route: OutModel,
    },
    #[n(3)]
    In {
        #[n(0)]
        connection: u16,
        #[n(1)]
        route: InModel,
    },
    #[n(4)]
    Unrouted {
        #[n(0)]
        connection: u16,
    },
    #[n(5)]
    Dead {
        #[n(0)]
        connection: u16,
        #[n(1)]
        epoch: u32,
    },
    #[n(6)]
    Timer {
        #[n(0)]
        module: String,
        #[n(1)]
        timer: String,
        #[n(2)]
        setting: TimerModel,
    },
    #[n(7)]
    TimerGone {
        #[n(0)]
        module: String,
        #[n(1)]
        timer: String,
    },
    #[n(8)]
    Reserved {
        #[n(0)]
        module: String,
        #[n(1)]
        reserved: ReservedModel,
    },
    #[n(9)]
    Released {
        #[n(0)]
        module: String,
    },
    /// A module of this application is lent; `None`: no more.
    #[n(10)]
    Lent {
        #[n(0)]
        name: String,
        #[n(1)]
        owner: u32,
        #[cbor(n(2), with = "minicbor::bytes")]
        uuid: Uuid,
        #[n(3)]
        lent: Option<LentModel>,
    },
}

impl Model {
    /// Applies a change. Changes about things that are not there change nothing.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Numbers { owner, app, module } => {
                self.next_owner = self.next_owner.max(owner);
                self.next_app = self.next_app.max(app);
                self.next_module = self.next_module.max(module);
            }
            Change::Spent { token } => {
                self.spent.insert(token);
            }
            Change::Identity { owner, key } => {
                self.next_owner = self.next_owner.max(owner + 1);
                let keys = &mut self.owners.entry(owner).or_default().keys;
                keys.retain(|known| *known != key);
                keys.push(key);
            }
            Change::Revoked { owner } => {
                self.owners.remove(&owner);
            }
            Change::App { owner, uuid, number } => {
                self.next_app = self.next_app.max(number + 1);
                if let Some(owner) = self.owners.get_mut(&owner) {
                    owner.apps.entry(uuid).or_default().number = number;
                }
            }
            Change::AppGone { owner, uuid } => {
                if let Some(owner) = self.owners.get_mut(&owner) {
                    owner.apps.remove(&uuid);
                }
            }
            Change::InApp { owner, uuid, change } => {
                if let AppChange::Module { module, .. } = &change {
                    self.next_module = self.next_module.max(module.number + 1);
                }
                if let Some(app) = self.owners.get_mut(&owner).and_then(|owner| owner.apps.get_mut(&uuid)) {
                    app.apply(change);
                }
            }
        }
    }

    /// The changes that make this model from an empty one.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let mut changes =
            vec![Change::Numbers { owner: self.next_owner, app: self.next_app, module: self.next_module }];
        changes.extend(self.spent.iter().map(|token| Change::Spent { token: *token }));
        for (owner, state) in &self.owners {
            changes.extend(state.keys.iter().map(|key| Change::Identity { owner: *owner, key: *key }));
            for (uuid, app) in &state.apps {
                changes.push(Change::App { owner: *owner, uuid: *uuid, number: app.number });
                let in_app = |change| Change::InApp { owner: *owner, uuid: *uuid, change };
                changes.extend(app.changes().into_iter().map(in_app));
            }
        }
        changes
    }

    /// The owner whose identity this is now.
    pub(crate) fn owner_of(&self, key: &IdentityKey) -> Option<u32> {
        self.owners.iter().find(|(_, owner)| owner.keys.last() == Some(key)).map(|(number, _)| *number)
    }
}

impl AppModel {
    fn apply(&mut self, change: AppChange) {
        match change {
            AppChange::Module { name, module } => {
                self.modules.insert(name, module);
            }
            AppChange::ModuleGone { name } => {
                self.modules.remove(&name);
            }
            AppChange::Out { connection, route } => {
                self.outs.insert(connection, route);
            }
            AppChange::In { connection, route } => {
                self.ins.insert(connection, route);
            }
            AppChange::Unrouted { connection } => {
                self.outs.remove(&connection);
                self.ins.remove(&connection);
                self.dead.remove(&connection);
            }
            AppChange::Dead { connection, epoch } => {
                let dead = self.dead.entry(connection).or_default();
                *dead = (*dead).max(epoch);
            }
            AppChange::Timer { module, timer, setting } => {
                self.timers.insert((module, timer), setting);
            }
            AppChange::TimerGone { module, timer } => {
                self.timers.remove(&(module, timer));
            }
            AppChange::Reserved { module, reserved } => {
                self.reserved.insert(module, reserved);
            }
            AppChange::Released { module } => {
                self.reserved.remove(&module);
            }
            AppChange::Lent { name, owner, uuid, lent } => {
                match lent {
                    Some(lent) => self.lent.insert((name, owner, uuid), lent),
                    None => self.lent.remove(&(name, owner, uuid)),
                };
            }
        }
    }

    fn changes(&self) -> Vec<AppChange> {
        let modules =
            self.modules.iter().map(|(name, module)| AppChange::Module { name: name.clone(), module: module.clone() });
        let outs = self
            .outs
            .iter()
            .map(|(connection, route)| AppChange::Out { connection: *connection, route: route.clone() });
        let ins =
            self.ins.iter().map(|(connection, route)| AppChange::In { connection: *connection, route: route.clone() });
        let dead =
            self.dead.iter().map(|(connection, epoch)| AppChange::Dead { connection: *connection, epoch: *epoch });
        let timers = self.timers.iter().map(|((module, timer), setting)| AppChange::Timer {
            module: module.clone(),
            timer: timer.clone(),
            setting: *setting,
        });
        let reserved = self
            .reserved
            .iter()
            .map(|(module, reserved)| AppChange::Reserved { module: module.clone(), reserved: reserved.clone() });
        let lent = self.lent.iter().map(|((name, owner, uuid), lent)| AppChange::Lent {
            name: name.clone(),
            owner: *owner,
            uuid: *uuid,
            lent: Some(lent.clone()),
        });
        modules.chain(outs).chain(ins).chain(dead).chain(timers).chain(reserved).chain(lent).collect()
    }
}
