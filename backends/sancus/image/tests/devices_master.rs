//! The tests of `devices.rs` on the present generation of the core.

#[path = "devices.rs"]
mod devices;
