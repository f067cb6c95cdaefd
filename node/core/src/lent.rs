//! Drivers that are lent: modules of one application that serve connections of others.
//!
//! A borrower's application knows the driver by a name of its own; a frame that the driver emits belongs to the application
//! that has its connection number.

use crate::index::{AppIndex, ModuleIndex};
use crate::router::Router;

impl Router {
    /// Lets an application call a module of another one `name`.
    pub fn name_lent(&mut self, app: AppIndex, name: &str, module: ModuleIndex) {
        self.apps[app].lent.insert(name.to_owned(), module);
    }

    /// The module that was lent to an application under this name.
    #[must_use]
    pub fn lent_module(&self, app: AppIndex, name: &str) -> Option<ModuleIndex> {
        self.apps[app].lent.get(name).copied()
    }

    /// Lets a module serve a connection of another application in this row. False when another application has that number
    /// there. Routes that stand keep their rows.
    #[must_use]
    pub fn lend(&mut self, module: ModuleIndex, (connection, row): (u16, u16), app: AppIndex) -> bool {
        let lent = self.lent.entry((module, connection)).or_insert((app, row));
        if lent.0 == app {
            lent.1 = row;
        }
        lent.0 == app
    }

    /// The row of a connection at a module that is lent.
    #[must_use]
    pub fn lent_row(&self, module: ModuleIndex, connection: u16) -> Option<u16> {
        self.lent.get(&(module, connection)).map(|(_, row)| *row)
    }

    /// Takes a module back from an application: its routes to it are forgotten, and what waits for it is dropped.
    /// Gives the number of dropped frames.
    pub fn take_back(&mut self, module: ModuleIndex, app: AppIndex) -> u64 {
        let dropped = self.lend_only(module, app, &[]);
        self.apps[app].lent.retain(|_, lent| *lent != module);
        dropped
    }

    /// Takes all connections of an application at a module back but these, which need not be there. Their numbers are free
    /// then. Gives the number of dropped frames.
    pub fn lend_only(&mut self, module: ModuleIndex, app: AppIndex, connections: &[(u16, u16)]) -> u64 {
        let stays = |connection: u16| connections.iter().any(|(kept, _)| *kept == connection);
        let over: Vec<u16> = self
            .lent
            .iter()
            .filter(|((lent, _), (borrower, _))| *lent == module && *borrower == app)
            .map(|((_, connection), _)| *connection)
            .filter(|connection| !stays(*connection))
            .collect();
        let mut dropped = 0;
        for connection in over {
            dropped += self.unroute(app, connection);
            self.lent.remove(&(module, connection));
        }
        dropped
    }

    /// The application whose connection a number is at a module.
    pub(crate) fn app_at(&self, module: ModuleIndex, connection: u16) -> AppIndex {
        self.lent.get(&(module, connection)).map_or(self.modules[module].app, |(app, _)| *app)
    }

    /// Ends all lending from and to an application that goes.
    pub(crate) fn end_lending(&mut self, app: AppIndex) {
        let own: Vec<ModuleIndex> = self.apps[app].modules.values().copied().collect();
        let mut ends: Vec<(ModuleIndex, AppIndex)> = Vec::new();
        for ((module, _), (borrower, _)) in &self.lent {
            if own.contains(module) || *borrower == app {
                ends.push((*module, *borrower));
            }
        }
        for borrower in self.apps.indices() {
            let lent = self.apps[borrower].lent.values();
            ends.extend(lent.filter(|module| own.contains(module)).map(|module| (*module, borrower)));
        }
        for (module, borrower) in ends {
            self.take_back(module, borrower);
        }
    }
}
