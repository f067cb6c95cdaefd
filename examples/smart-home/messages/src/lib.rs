//! What the modules of the smart home say to each other.
#![no_std]

use veritee::Payload;

/// A temperature.
#[derive(Payload, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Celsius {
    /// In tenths of a degree.
    pub tenths: i16,
}

/// On or off.
#[derive(Payload, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Switch {
    /// Off.
    #[default]
    Off = 0,
    /// On.
    On = 1,
}

/// How the owner wants the home.
#[derive(Payload, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Command {
    /// The desired temperature.
    pub desired: Celsius,
    /// The light.
    pub light: Switch,
    /// Zero.
    pub reserved: u8,
}

/// The question how the home is.
#[derive(Payload, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query {}

/// How the home is.
#[derive(Payload, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Status {
    /// The last temperature that was measured.
    pub temperature: Celsius,
    /// The desired temperature.
    pub desired: Celsius,
    /// The heating, as the thermostat says.
    pub heating: Switch,
    /// The light, as its switch says.
    pub light: Switch,
    /// Temperatures are measured: the sensor is heard.
    pub measured: bool,
    /// Zero.
    pub reserved: u8,
}
