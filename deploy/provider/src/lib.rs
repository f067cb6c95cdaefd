//! The provider: who makes boards, keeps their secrets, and lends their drivers to applications.
//!
//! [`store`] is what he keeps, durable, in files of mode 0600; [`drivers`] speaks to his drivers, as their only control peer;
//! [`grants`] decides who has which driver; [`Service`] answers owners; [`server`] is its door: mutually authenticated TLS.
//!
//! 1. Before an effect that must not be repeated differently, the decision is on disk.
//! 2. An exclusive driver serves one application until it is released or its time is over; the driver itself refuses a second one.
//! 3. Whoever asks is known by his key; he sees and touches only his own grants.

pub mod drivers;
pub mod grants;
pub mod server;
pub mod service;
pub mod store;

#[cfg(test)]
mod tests;

pub use service::Service;
pub use store::{Board, Store};

/// Why a provider's action failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// A file, a node, a driver, a platform.
    #[error(transparent)]
    Exec(#[from] veritee_exec::ExecError),
    /// A board that does not exist, a driver that it does not have.
    #[error("there is no {what} {name:?}{}", listed(candidates))]
    NoSuch {
        /// What it should be.
        what: &'static str,
        /// Its name.
        name: String,
        /// What there is.
        candidates: Vec<String>,
    },
    /// The name of a board is taken.
    #[error("there is a board {0:?} already")]
    Taken(String),
    /// The owner has no key of that board.
    #[error("this provider knows no owner {owner} on board {board}: `veritee provider vendor-key` first")]
    Stranger {
        /// His fingerprint.
        owner: String,
        /// The board.
        board: String,
    },
    /// The driver serves another application.
    #[error(
        "driver {driver} of board {board} is exclusive: {holder} has it for {} more, unless it gives it back before or the \
         provider releases it (`veritee provider release {board} {driver}`)", duration(*seconds)
    )]
    Busy {
        /// The driver.
        driver: String,
        /// Its board.
        board: String,
        /// Who has it.
        holder: String,
        /// After how many seconds it is taken back.
        seconds: u64,
    },
    /// The driver was not granted to this application, or no more.
    #[error("driver {driver} of board {board} is not lent to this application")]
    NotGranted {
        /// The driver.
        driver: String,
        /// Its board.
        board: String,
    },
    /// Its table is full.
    #[error("driver {driver} of board {board} has no free row: it serves {rows} connections")]
    NoRow {
        /// The driver.
        driver: String,
        /// Its board.
        board: String,
        /// How many rows it has.
        rows: u16,
    },
    /// Another application uses this connection number at the driver: its frames could not be told apart.
    #[error(
        "connection number {connection} is in use at driver {driver} of board {board}: give the connection another name"
    )]
    NumberTaken {
        /// The driver.
        driver: String,
        /// Its board.
        board: String,
        /// The number.
        connection: u16,
    },
    /// Numbers of owners or applications are used up.
    #[error("this provider has no numbers left for {0}")]
    UsedUp(&'static str),
    /// A message that is none.
    #[error("the request is malformed")]
    Malformed,
    /// The door cannot be opened.
    #[error("cannot {action}: {source}")]
    System {
        /// What was being done.
        action: String,
        /// The system's error.
        source: std::io::Error,
    },
}

/// A duration for people.
fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7200 => format!("{} minutes", seconds / 60),
        _ => format!("{} hours", seconds / 3600),
    }
}

fn listed(candidates: &[String]) -> String {
    if candidates.is_empty() { String::new() } else { format!("; there is: {}", candidates.join(", ")) }
}
