//! An alarm: judges each reading and says so.
#![no_std]

use messages::{Judgement, Reading};

/// Levels from here on are too high.
const LIMIT: i16 = 100;

/// An alarm without memory.
#[derive(Default)]
pub struct Alarm;

#[veritee::module]
impl Alarm {
    /// What became of a reading.
    #[output]
    fn acknowledge(judgement: Judgement);

    /// The sensor measured.
    #[input]
    fn reading(&mut self, mut io: Io<'_>, reading: Reading) {
        io.acknowledge(if reading.level >= LIMIT { &Judgement::Alarm } else { &Judgement::Calm });
    }
}

#[cfg(test)]
mod tests {
    use super::Alarm;
    use messages::{Judgement, Reading};
    use veritee_harness::Harness;

    #[test]
    fn only_high_levels_alarm() {
        let mut alarm = Harness::<Alarm>::new();
        alarm.send("reading", &Reading { level: 99 });
        alarm.send("reading", &Reading { level: 100 });
        assert_eq!(alarm.emitted::<Judgement>("acknowledge"), [Judgement::Calm, Judgement::Alarm]);
    }
}
