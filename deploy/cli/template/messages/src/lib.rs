//! What the modules say to each other.
#![no_std]

use veritee::Payload;

/// A measured level.
#[derive(Payload, Clone, Copy, PartialEq, Debug)]
pub struct Reading {
    /// Hundredths of a unit.
    pub level: i16,
}

/// What the alarm makes of a reading.
#[derive(Payload, Clone, Copy, PartialEq, Debug)]
#[repr(u8)]
pub enum Judgement {
    /// Within limits.
    Calm = 0,
    /// Too high.
    Alarm = 1,
}
