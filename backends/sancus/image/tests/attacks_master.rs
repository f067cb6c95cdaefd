//! The tests of `attacks.rs` on the present generation of the core.

#[path = "attacks.rs"]
mod attacks;
