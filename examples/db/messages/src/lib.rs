//! What database and client say to each other.
#![no_std]

use veritee::{Bytes, Payload};

/// Longest value in bytes.
pub const VALUE_BYTES_MAX: usize = 64;

/// Refusal: there is no record with this key.
pub const NOT_FOUND: u16 = 1;

/// What a record is stored under.
#[derive(Payload, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Key {
    /// Any number.
    pub key: u32,
}

/// A key and its value.
#[derive(Payload, Clone, Copy, PartialEq, Debug, Default)]
pub struct Record {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Bytes<VALUE_BYTES_MAX>,
}
