//! The hardware multiplier at `0x130`-`0x13E`. Its result is there before a following instruction can read it.

/// Registers of the multiplier.
#[derive(Clone, Debug, Default)]
pub(crate) struct Multiplier {
    first: u16,
    second: u16,
    signed: bool,
    accumulate: bool,
    result: u32,
    extension: u16,
}

impl Multiplier {
    pub(crate) fn read(&self, register: u16) -> u16 {
        match register {
            0..=3 => self.first,
            4 => self.second,
            5 => words(self.result)[0],
            6 => words(self.result)[1],
            _ => self.extension,
        }
    }

    pub(crate) fn write(&mut self, register: u16, value: u16) {
        match register {
            0..=3 => {
                self.first = value;
                self.signed = register & 1 != 0;
                self.accumulate = register & 2 != 0;
            }
            4 => {
                self.second = value;
                self.multiply();
            }
            5 => self.result = self.result & 0xffff_0000 | u32::from(value),
            6 => self.result = self.result & 0xffff | u32::from(value) << 16,
            _ => {}
        }
    }

    fn multiply(&mut self) {
        let product = if self.signed {
            (i32::from(self.first.cast_signed()) * i32::from(self.second.cast_signed())).cast_unsigned()
        } else {
            u32::from(self.first) * u32::from(self.second)
        };
        let before = if self.accumulate { self.result } else { 0 };
        let (sum, carry) = before.overflowing_add(product);
        self.result = sum;
        self.extension = match self.signed {
            true if sum >> 31 != 0 => 0xffff,
            true => 0,
            false => carry.into(),
        };
    }
}

fn words(value: u32) -> [u16; 2] {
    let [a, b, c, d] = value.to_le_bytes();
    [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])]
}
