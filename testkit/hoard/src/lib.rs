//! The hoard: a module with a heap, that keeps all numbers it gets.
#![no_std]

extern crate alloc;

use alloc::vec::Vec;
use veritee::Payload;

/// A number, of the same type as the probe's.
#[derive(Payload, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Number {
    /// The number.
    pub value: u32,
}

/// What was kept.
#[derive(Debug, Default)]
pub struct Hoard {
    numbers: Vec<u32>,
}

#[veritee::module]
impl Hoard {
    /// The sum of all that is kept.
    #[output]
    fn sum(sum: Number);

    /// Keeps one more.
    #[input]
    fn keep(&mut self, mut io: Io<'_>, number: Number) {
        self.numbers.push(number.value);
        let sum = self.numbers.iter().fold(0, |sum: u32, number| sum.wrapping_add(*number));
        io.sum(&Number { value: sum });
    }

    /// Makes room for so many more, or says that there is none: 1 or 0.
    #[entry(public)]
    fn ask_for(&mut self, _io: &mut Io<'_>, count: Number) -> Number {
        Number { value: self.numbers.try_reserve_exact(count.value as usize).is_ok().into() }
    }

    /// Makes room for so many more; where there is none, that is the end. Says how much there is.
    #[entry(public)]
    fn insist_on(&mut self, _io: &mut Io<'_>, count: Number) -> Number {
        self.numbers.reserve_exact(count.value as usize);
        Number { value: u32::try_from(self.numbers.capacity()).unwrap_or(u32::MAX) }
    }

    /// Ends the module, whatever its heap.
    #[entry(public)]
    fn panic(&mut self, _io: Io<'_>, _: Number) {
        panic!("as ordered");
    }
}
