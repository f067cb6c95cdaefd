//! What is fuzzed: a function of arbitrary bytes for each target, which panics when a promise is broken.
//!
//! The functions do not know the fuzzer, so `cargo test` can run each of them on some bytes on every machine.

mod boundary;
mod layouts;
mod links;
mod module;
mod ports;
mod protocol;
mod tee;

#[cfg(test)]
mod tests;

pub use boundary::boundary;
pub use layouts::layouts;
pub use links::links;
pub use module::module;
pub use ports::ports;
pub use protocol::protocol;
