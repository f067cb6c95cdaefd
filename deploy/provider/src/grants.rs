//! Who has which driver, and which rows of it.

use crate::ProviderError;
use crate::store::Kept;
use serde::{Deserialize, Serialize};
use veritee_exec::hex;
use veritee_exec::provider::GrantName;

/// A driver that an application has, or that is kept for an owner.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The board.
    pub board: String,
    /// The driver.
    pub driver: String,
    /// The owner's fingerprint.
    pub owner: String,
    /// The application's UUID in hexadecimal; empty while it is only kept for the owner.
    pub application: String,
    /// The application's name, for people.
    pub name: String,
    /// What the application calls the driver.
    pub module: String,
    /// Unix time in seconds at which it is taken back.
    pub not_after: u64,
    /// Rows of the driver that it uses.
    pub rows: Vec<LentRow>,
}

/// A row of a driver in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LentRow {
    /// The owner's name for it.
    pub named: u16,
    /// Its place in the driver's table.
    pub row: u16,
    /// The connection.
    pub connection: u16,
}

impl Grant {
    /// Whether it is about this driver.
    pub(crate) fn is_of(&self, name: &GrantName) -> bool {
        (self.board.as_str(), self.driver.as_str()) == (name.board.as_str(), name.driver.as_str())
    }

    /// What somebody else is told who wants the driver.
    fn busy(&self, now: u64) -> ProviderError {
        let owner = self.owner.get(..16).unwrap_or(&self.owner);
        let holder = match self.name.as_str() {
            "" => format!("owner {owner}…"),
            application => format!("application {application:?} of owner {owner}…"),
        };
        let (driver, board) = (self.driver.clone(), self.board.clone());
        ProviderError::Busy { driver, board, holder, seconds: self.not_after.saturating_sub(now) }
    }

    /// Whether it is this application's.
    pub(crate) fn is(&self, owner: &str, name: &GrantName) -> bool {
        self.is_of(name) && self.owner == owner && self.application == hex(&name.application)
    }
}

/// Gives a driver to an application, or for longer if it has it; gives the application's short name.
pub(crate) fn take(
    kept: &mut Kept, owner: &str, (name, shown, module): (&GrantName, &str, &str),
    (exclusive, now, not_after): (bool, u64, u64),
) -> Result<u16, ProviderError> {
    let handle = handle(kept, &hex(&name.application))?;
    if let Some(grant) = kept.grants.iter_mut().find(|grant| grant.is(owner, name)) {
        grant.not_after = grant.not_after.max(not_after);
        module.clone_into(&mut grant.module);
        return Ok(handle);
    }
    let reserved = |grant: &&mut Grant| grant.is_of(name) && grant.owner == owner && grant.application.is_empty();
    if let Some(grant) = kept.grants.iter_mut().find(reserved) {
        (grant.application, grant.name) = (hex(&name.application), shown.to_owned());
        module.clone_into(&mut grant.module);
        return Ok(handle);
    }
    let other = kept.grants.iter().find(|grant| grant.is_of(name) && exclusive && grant.not_after > now);
    if let Some(other) = other {
        return Err(other.busy(now));
    }
    kept.grants.push(Grant {
        board: name.board.clone(),
        driver: name.driver.clone(),
        owner: owner.to_owned(),
        application: hex(&name.application),
        name: shown.to_owned(),
        module: module.to_owned(),
        not_after,
        rows: Vec::new(),
    });
    Ok(handle)
}

/// The short name of an application at drivers. It is no other application's, ever.
fn handle(kept: &mut Kept, application: &str) -> Result<u16, ProviderError> {
    if let Some(handle) = kept.handles.get(application) {
        return Ok(*handle);
    }
    // 1 is what owners call their applications among their own modules.
    let next = kept.handles.values().max().map_or(Some(2), |last| last.checked_add(1));
    let handle = next.ok_or(ProviderError::UsedUp("applications"))?;
    kept.handles.insert(application.to_owned(), handle);
    Ok(handle)
}

/// The row of a driver for a connection of an application: the one that it has, or the lowest free one.
pub(crate) fn row(
    kept: &mut Kept, owner: &str, name: &GrantName, (named, connection, rows): (u16, u16, u16),
) -> Result<u16, ProviderError> {
    let of_driver = || kept.grants.iter().filter(|grant| grant.is_of(name));
    let used: Vec<u16> = of_driver().flat_map(|grant| &grant.rows).map(|row| row.row).collect();
    let mut strangers = of_driver().filter(|grant| !grant.is(owner, name)).flat_map(|grant| &grant.rows);
    let number_taken = strangers.any(|row| row.connection == connection);
    let grant = kept.grants.iter_mut().find(|grant| grant.is(owner, name));
    let (driver, board) = (name.driver.clone(), name.board.clone());
    let grant = grant.ok_or(ProviderError::NotGranted { driver: driver.clone(), board: board.clone() })?;
    if let Some(found) = grant.rows.iter().find(|row| (row.named, row.connection) == (named, connection)) {
        return Ok(found.row);
    }
    if grant.rows.iter().any(|row| row.named == named) {
        return Err(ProviderError::Malformed);
    }
    if number_taken {
        return Err(ProviderError::NumberTaken { driver, board, connection });
    }
    let row = (0..rows).find(|row| !used.contains(row)).ok_or(ProviderError::NoRow { driver, board, rows })?;
    grant.rows.push(LentRow { named, row, connection });
    Ok(row)
}

/// Keeps a driver for an owner.
pub(crate) fn keep(
    kept: &mut Kept, owner: &str, name: &GrantName, (exclusive, now, not_after): (bool, u64, u64),
) -> Result<(), ProviderError> {
    let (driver, board) = (name.driver.clone(), name.board.clone());
    let taken = kept.grants.iter().find(|grant| grant.is_of(name) && exclusive && grant.owner != owner);
    if let Some(taken) = taken {
        return Err(taken.busy(now));
    }
    match kept.grants.iter_mut().find(|grant| grant.is_of(name) && grant.owner == owner) {
        Some(grant) => grant.not_after = not_after,
        None => kept.grants.push(Grant {
            board,
            driver,
            owner: owner.to_owned(),
            application: String::new(),
            name: String::new(),
            module: String::new(),
            not_after,
            rows: Vec::new(),
        }),
    }
    Ok(())
}
