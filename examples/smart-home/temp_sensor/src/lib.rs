//! A simulated temperature sensor: the day gets warmer and colder again, sample by sample.
#![no_std]

use smart_home_messages::Celsius;
use veritee::Payload;

const COLDEST_TENTHS: i16 = 170;
const WARMEST_TENTHS: i16 = 230;
const STEP_TENTHS: i16 = 3;

/// The simulated air.
#[derive(Payload)]
pub struct TempSensor {
    temperature: Celsius,
    warming: bool,
}

impl Default for TempSensor {
    fn default() -> Self {
        Self { temperature: Celsius { tenths: 200 }, warming: false }
    }
}

#[veritee::module(movable)]
impl TempSensor {
    /// The temperature, for the gateway.
    #[output]
    fn temperature(temperature: Celsius);

    /// Measures. A timer calls it.
    #[entry(public)]
    fn sample(&mut self, mut io: Io<'_>) {
        if self.temperature.tenths <= COLDEST_TENTHS {
            self.warming = true;
        } else if self.temperature.tenths >= WARMEST_TENTHS {
            self.warming = false;
        }
        self.temperature.tenths += if self.warming { STEP_TENTHS } else { -STEP_TENTHS };
        io.temperature(&self.temperature);
    }
}

#[cfg(test)]
extern crate std;
#[cfg(test)]
mod tests;
