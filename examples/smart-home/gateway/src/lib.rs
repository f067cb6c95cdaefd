//! The gateway: knows what is wanted and what is measured, and runs the heating rule every few seconds.
#![no_std]

use smart_home_messages::{Celsius, Command, Status, Switch};
use veritee::Payload;

/// How far the temperature may be from the desired one before the heating changes, in tenths of a degree.
const TOLERANCE_TENTHS: i16 = 5;

/// What is desired until the owner says something else.
const DESIRED: Celsius = Celsius { tenths: 200 };

/// What the gateway knows.
#[derive(Payload)]
pub struct Gateway {
    status: Status,
}

impl Default for Gateway {
    fn default() -> Self {
        Self { status: Status { desired: DESIRED, ..Status::default() } }
    }
}

#[veritee::module(movable)]
impl Gateway {
    /// Heating on or off, for the thermostat.
    #[output]
    fn heat(command: Switch);

    /// Light on or off, for the light switch.
    #[output]
    fn light(command: Switch);

    /// How the home is, for the hub.
    #[output]
    fn status(status: Status);

    /// How the owner wants the home.
    #[input]
    fn settings(&mut self, mut io: Io<'_>, command: Command) {
        self.status.desired = command.desired;
        io.light(&command.light);
    }

    /// The sensor measured.
    #[input]
    fn temperature(&mut self, _io: Io<'_>, temperature: Celsius) {
        self.status.temperature = temperature;
        self.status.measured = true;
    }

    /// The sensor has not been heard for too long: rather cold than burning.
    #[late(temperature)]
    fn sensor_silent(&mut self, mut io: Io<'_>) {
        self.status.measured = false;
        io.heat(&Switch::Off);
        io.status(&self.status);
    }

    /// The thermostat says what it does.
    #[input]
    fn heating(&mut self, mut io: Io<'_>, state: Switch) {
        self.status.heating = state;
        io.status(&self.status);
    }

    /// The light switch says what it does.
    #[input]
    fn lit(&mut self, mut io: Io<'_>, state: Switch) {
        self.status.light = state;
        io.status(&self.status);
    }

    /// The heating rule. A timer runs it; whoever else does changes nothing but the moment.
    #[entry(public)]
    fn rule(&mut self, mut io: Io<'_>) {
        let wanted = self.wanted_heating();
        if wanted != self.status.heating {
            io.heat(&wanted);
        }
        io.status(&self.status);
    }

    /// Heats when it is too cold, stops when it is too warm, changes nothing in between.
    fn wanted_heating(&self) -> Switch {
        let Status { temperature, desired, heating, measured, .. } = self.status;
        let above = i32::from(temperature.tenths) - i32::from(desired.tenths);
        match (measured, above) {
            (false, _) => Switch::Off,
            (true, above) if above <= -i32::from(TOLERANCE_TENTHS) => Switch::On,
            (true, above) if above >= i32::from(TOLERANCE_TENTHS) => Switch::Off,
            (true, _) => heating,
        }
    }
}

#[cfg(test)]
extern crate std;
#[cfg(test)]
mod tests;
