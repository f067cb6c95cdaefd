//! The descriptor: nodes, modules, connections, timers, policy of an application, typed.
//!
//! [`descriptor`] is the model, one for YAML, JSON and TOML; [`read`] reads it and points at mistakes; [`check`] judges it by
//! itself; [`ports`] judges it against the port tables of its modules.

pub mod check;
pub mod descriptor;
mod place;
pub mod ports;
pub mod read;
mod world;

#[cfg(test)]
mod tests;

pub use check::Problem;
pub use descriptor::{
    Board, Connection, Descriptor, Endpoint, Happening, Millis, Module, Node, Policy, Quotes, Restart, Sources, Timer,
    schema,
};
pub use place::placed;
pub use read::ModelError;
