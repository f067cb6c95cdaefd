//! The router of a node: a pure state machine without clocks, sockets, files or threads.
//!
//! Data meets the modules in this order: [`router`] knows who exists; `emit` takes a module's outputs apart and queues
//! their frames; [`queue`](FrameFigures) keeps the frames of one direction of a connection (a *lane*) contiguous; `deliver`
//! enters calls into modules; `links` speaks with other nodes; `verdict` settles frames; `store` decides what goes to the
//! disk; `alarm` waits; [`record`] is the outbox's form on disk.
//!
//! 1. Events go in as method calls with the time; rare effects come out as [`Action`]s; the hot ones are asked for:
//!    [`Router::deliver`], [`Router::fill_link`], [`Router::fill_store`], [`Router::take_release`].
//! 2. The same calls in the same order give the same effects.
//! 3. Nothing is lost silently: a frame is settled by a verdict, or counted as dropped.
//! 4. No allocation, hashing or search for an event on its way through (but that of a lent driver).
//!
//! Not here: keys, payloads (frames are opaque behind their headers), names of owners, persistence.

mod alarm;
mod config;
mod deliver;
mod emit;
mod index;
mod lane;
mod lent;
mod links;
mod message;
mod queue;
pub mod record;
mod router;
mod routes;
mod store;
mod verdict;

pub use config::{Limits, Remote, RouteIn, RouteOut};
pub use emit::BrokenModule;
pub use index::{AppIndex, LaneIndex, LinkIndex, ModuleIndex, OwnerIndex, PeerIndex, Time, TimerIndex};
pub use lane::LaneFigures as FrameFigures;
pub use links::LinkFault;
pub use message::LINK_VERSION;
pub use router::{Action, ConnectionReport, EnterError, ModuleFigures, Outcome, Router, TimerFigures, Totals};

#[cfg(test)]
mod tests;
