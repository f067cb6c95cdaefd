//! The event manager of a node: loads modules, stores and forwards their events, answers owners. Untrusted.
//!
//! Data meets the modules in this order: [`config`] says what a node is; `listener` proves who comes in; `control` speaks
//! with owners, `requests`, `reserving`, `loading` and `routing` do what they ask; `hosting` runs modules; `link` speaks with nodes;
//! `node` owns the state and moves everything; `outbox` and `journal` keep what must survive; `metrics` tells.
//!
//! 1. One thread owns all state; what blocks (disk, loading) has threads of its own.
//! 2. All decisions about events are the router's ([`veritee_node_core`]); this crate only does input and output.
//! 3. Whatever a stranger, an owner, another node or a module sends is bounded in size, number and time.

pub mod config;
mod control;
mod delegations;
mod hosting;
mod journal;
mod lending;
mod link;
mod listener;
mod loading;
mod metrics;
mod model;
mod node;
mod outbox;
pub mod platforms;
mod requests;
mod reserving;
mod routing;
mod start;

pub use config::{Config, ConfigError};
pub use start::{Handle, StartError, identity, init, new_token, start};
