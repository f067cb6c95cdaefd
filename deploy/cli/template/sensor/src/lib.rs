//! A sensor. The level is made up: on hardware, a driver would deliver it.
#![no_std]

use messages::{Judgement, Reading};

/// What the sensor knows.
#[derive(Default)]
pub struct Sensor {
    level: i16,
    alarmed: bool,
}

#[veritee::module]
impl Sensor {
    /// The level now.
    #[output]
    fn reading(reading: Reading);

    /// Measures. A timer of the node calls it; so may anybody whom the node knows, hence `public`.
    #[entry(public)]
    fn sample(&mut self, mut io: Io<'_>) {
        self.level = if self.alarmed { 0 } else { self.level.saturating_add(20) };
        io.reading(&Reading { level: self.level });
    }

    /// The alarm has judged a reading.
    #[input]
    fn acknowledge(&mut self, _io: Io<'_>, judgement: Judgement) {
        self.alarmed = judgement == Judgement::Alarm;
    }
}

#[cfg(test)]
mod tests {
    use super::Sensor;
    use messages::{Judgement, Reading};
    use veritee_harness::Harness;

    #[test]
    fn an_alarm_resets_the_level() {
        let mut sensor = Harness::<Sensor>::new();
        sensor.enter("sample", &());
        assert_eq!(sensor.emitted::<Reading>("reading"), [Reading { level: 20 }]);
        sensor.send("acknowledge", &Judgement::Alarm);
        sensor.enter("sample", &());
        assert_eq!(sensor.emitted::<Reading>("reading"), [Reading { level: 0 }]);
    }
}
