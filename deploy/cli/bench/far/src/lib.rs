//! The far side: counts a flood, and plays back.
#![no_std]

use messages::{Load, Report};

/// What was seen of the flood.
#[derive(Default)]
pub struct Far {
    report: Report,
}

#[veritee::module]
impl Far {
    #[output]
    fn pong(load: Load);

    #[input]
    fn flood(&mut self, _io: Io<'_>, load: Load) {
        self.report.disordered += u64::from(load.number != self.report.received);
        self.report.received += 1;
    }

    #[input]
    fn ping(&mut self, mut io: Io<'_>, load: Load) {
        io.pong(&load);
    }

    /// Its owner tells it something.
    #[input]
    fn note(&mut self, _io: Io<'_>, _load: Load) {
        self.report.noted += 1;
    }

    /// Its owner hears what he said.
    #[handler]
    fn echo(&mut self, _io: &mut Io<'_>, load: Load) -> Load {
        load
    }

    /// What was seen so far.
    #[entry(public)]
    fn report(&mut self, _io: &mut Io<'_>) -> Report {
        self.report
    }
}
