//! The instructions `0x1380`-`0x138F`.

use crate::crypto::{Key, Sponge, derive_key, mac};
use crate::unit::{Access, Range, Slot, Unit};

/// Memory as the unit sees it: words, without rights. Cycles count from the start of the instruction.
pub trait Memory {
    /// Reads a word.
    fn read(&mut self, address: u16, at: u64) -> u16;
    /// Writes a word.
    fn write(&mut self, address: u16, value: u16, at: u64);
}

/// What an instruction did besides writing memory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// The new value of r15.
    pub result: Option<u16>,
    /// Where execution goes on, if not behind the instruction.
    pub jump: Option<u16>,
    /// The new value of the zero flag.
    pub zero: Option<bool>,
    /// Cycles.
    pub cycles: u64,
    /// The cycle, from the start of the instruction, in which a rule was broken first.
    pub violation: Option<u64>,
    /// The new stack guard.
    pub guard: Option<u16>,
    /// Modules came or went.
    pub changed: bool,
}

/// Peripherals lie below this address.
const PERIPHERALS_END: u16 = 0x200;

/// An instruction at work.
struct Run<'a, M: Memory> {
    unit: &'a mut Unit,
    memory: &'a mut M,
    registers: &'a [u16; 16],
    /// Cycles since the start.
    clock: u64,
    /// May texts be read?
    exempt: bool,
    outcome: Outcome,
}

impl Unit {
    /// Executes command `number` (0 to 15), called with `registers` by the code at [`Unit::pc`].
    pub fn execute<M: Memory>(&mut self, number: u16, registers: &[u16; 16], memory: &mut M) -> Outcome {
        let exempt = number < 4;
        let mut run = Run { unit: self, memory, registers, clock: 0, exempt, outcome: Outcome::default() };
        match number {
            0 => run.disable(),
            1 => run.enable(),
            2 => run.verify(run.unit.id_at(registers[14])),
            3 => run.verify(run.unit.previous),
            4 => run.wrap(false),
            5 => run.wrap(true),
            6 => run.finish(run.unit.id_at(registers[15]), 3),
            7 => run.finish(run.unit.previous, 3),
            8 => {
                run.outcome.guard = Some(registers[15]);
                run.outcome.cycles = 2;
            }
            9 if !run.unit.is_legacy() => run.outcome.cycles = 2,
            _ => run.outcome.cycles = 1,
        }
        run.outcome
    }
}

impl<M: Memory> Run<'_, M> {
    fn finish(&mut self, result: u16, cycles: u64) {
        self.outcome.result = Some(result);
        self.outcome.cycles = cycles;
        if !self.unit.is_legacy() {
            self.outcome.zero = Some(false);
        }
    }

    fn permutation(&self) -> u64 {
        if self.unit.config.security.words() == 4 { 93 } else { 173 }
    }

    /// Reads a word. After a violation all memory reads zero.
    fn read(&mut self, address: u16) -> u16 {
        if self.unit.forbids(Access::read(address), self.exempt) {
            self.violate();
        }
        let value = self.memory.read(address, self.clock);
        if self.outcome.violation.is_some() { 0 } else { value }
    }

    /// Writes a word. After a violation only peripherals see it.
    fn write(&mut self, address: u16, value: u16) {
        if self.unit.forbids(Access::write_word(address), self.exempt) {
            self.violate();
        }
        if self.outcome.violation.is_none() || address < PERIPHERALS_END && self.unit.config.profile.is_none() {
            self.memory.write(address, value, self.clock);
        }
    }

    fn violate(&mut self) {
        let clock = self.clock;
        self.outcome.violation.get_or_insert(clock);
    }

    fn disable(&mut self) {
        let pc = self.unit.pc;
        let Some(slot) = self.unit.module_at(pc).cloned() else {
            return self.finish(0, 3);
        };
        let words = |range: Range| u64::from(range.len().div_ceil(2).max(1));
        for range in [slot.text, slot.secret] {
            for address in range_words(range) {
                self.write(address, 0);
            }
        }
        self.outcome.cycles = words(slot.text) + words(slot.secret) + 8;
        for place in &mut self.unit.slots {
            if place.as_ref().is_some_and(|slot| slot.text.contains(pc)) {
                *place = None;
            }
        }
        self.outcome.jump = Some(self.registers[15]);
        self.outcome.changed = true;
    }

    fn enable(&mut self) {
        let [.., r11, start, end, secret_start, secret_end] = *self.registers;
        let text = Range { start, end };
        let secret = Range { start: secret_start, end: secret_end };
        let mut zeroed = 0;
        if let Some(map) = self.unit.config.profile {
            if self.registers[10] != 0 || !self.unit.admits(map, text, secret) {
                return self.finish(0, 4);
            }
            if secret.start >= PERIPHERALS_END {
                zeroed = self.zero(secret);
            }
        }
        let id = self.unit.next_id;
        self.unit.next_id = self.unit.next_id.wrapping_add(1);
        let legal = start < end && secret_start <= secret_end;
        let free = self.unit.slots.iter().position(Option::is_none);
        // This is checked even if the new module is refused for another reason.
        if self.unit.modules().any(|slot| slot.text.overlaps(text)) {
            self.clock = 1;
            self.violate();
        }
        if let (true, Some(free)) = (legal, free) {
            self.unit.slots[free] = Some(Slot { id, text, secret, key: [0; 16] });
            self.outcome.changed = true;
        }
        // Whatever module is found at the text's start, its key is derived, even if it is another one.
        let Some(Slot { id: target, text, secret, .. }) = self.unit.module_at(start).cloned() else {
            if !self.unit.is_legacy() {
                self.unit.next_id = id;
            }
            return self.finish(0, 4);
        };
        let security = self.unit.config.security;
        let vendor_key = derive_key(security, &self.unit.config.node_key, r11);
        // The slots hold the vendor's key until the module's is known; a failed decryption leaves it there.
        self.set_key(start, &vendor_key);
        let (words, length) = (u64::from(security.words()), u64::from(text.len().div_ceil(2)));
        let mut calls = 2 * words + 1;
        if self.registers[10] != 0 {
            calls += 2 * words + length;
            if let Err(saved) = self.decrypt(&vendor_key, text) {
                self.cancel(start, id);
                return self.finish(0, calls * self.permutation() - 16 - saved);
            }
        }
        let identity = self.identity(text, secret);
        calls += 2 * words + identity.len() as u64;
        let key = mac(security, &vendor_key, &identity);
        self.set_key(start, &key);
        let less = match (words, self.registers[10]) {
            (4, 0) => 4,
            (4, _) => 12,
            (_, 0) => 19,
            _ => 27,
        };
        self.finish(target, calls * self.permutation() - less + zeroed);
    }

    /// Zeroes a section of a module that is about to come; gives the cycles, one a word.
    fn zero(&mut self, range: Range) -> u64 {
        for address in range_words(range) {
            self.memory.write(address, 0, self.clock);
            self.clock += 1;
        }
        range.len().div_ceil(2).into()
    }

    /// Stores a key in all slots of an address.
    fn set_key(&mut self, address: u16, key: &Key) {
        for slot in self.unit.slots.iter_mut().flatten().filter(|slot| slot.text.contains(address)) {
            slot.key = *key;
        }
    }

    /// A module whose decryption failed: the newer core takes back whatever module is there.
    fn cancel(&mut self, start: u16, id: u16) {
        if self.unit.is_legacy() {
            return;
        }
        for place in &mut self.unit.slots {
            if place.as_ref().is_some_and(|slot| slot.text.contains(start)) {
                *place = None;
            }
        }
        self.unit.next_id = id;
        self.outcome.changed = true;
    }

    /// Decrypts the text in place.
    fn decrypt(&mut self, vendor_key: &Key, text: Range) -> Result<(), u64> {
        let security = self.unit.config.security;
        let mut sponge = Sponge::new(security);
        sponge.key(security, vendor_key);
        let mut output = sponge.word(self.registers[10], true);
        let last = range_words(text).last();
        for address in range_words(text) {
            let plain = self.read(address) ^ output;
            output = sponge.word(plain, Some(address) != last);
            self.write(address, plain);
        }
        let tag = sponge.tag(security, output);
        self.compare(self.registers[9], &tag)
    }

    /// An identity: a text and the borders.
    fn identity(&mut self, text: Range, secret: Range) -> Vec<u16> {
        let mut words: Vec<u16> = range_words(text).map(|address| self.read(address)).collect();
        words.extend([text.start, text.end, secret.start, secret.end]);
        words
    }

    fn verify(&mut self, id: u16) {
        let security = self.unit.config.security;
        let Some(slot) = self.unit.modules().find(|slot| slot.id == id).cloned() else {
            return self.finish(0, 3);
        };
        let identity = self.identity(slot.text, slot.secret);
        let calls = 2 * u64::from(security.words()) + identity.len() as u64;
        let tag = mac(security, &[0; 16], &identity);
        let outcome = self.compare(self.registers[15], &tag);
        let result = if outcome.is_ok() { slot.id } else { 0 };
        self.finish(result, calls * self.permutation() - 6 - outcome.err().unwrap_or(0));
    }

    /// Compares a tag in memory. A difference makes the older core stop there; the error is how many cycles it saves.
    fn compare(&mut self, address: u16, tag: &Key) -> Result<(), u64> {
        let words = usize::from(self.unit.config.security.words());
        let early = self.unit.is_legacy() && self.unit.config.profile.is_none();
        let mut outcome = Ok(());
        for (left, (address, word)) in (0..words as u64).rev().zip(words_from(address).zip(tag.chunks_exact(2))) {
            if self.read(address) != u16::from_le_bytes([word[0], word[1]]) {
                if early {
                    return Err(1 + left * self.permutation());
                }
                outcome = Err(0);
            }
        }
        outcome
    }

    fn wrap(&mut self, opening: bool) {
        let [.., key, ad_start, ad_end, start, end, out, tag_at] = *self.registers;
        let security = self.unit.config.security;
        let words = usize::from(security.words());
        let mut key_bytes = [0; 16];
        if key == 0 {
            match self.unit.module_at(self.unit.pc) {
                Some(slot) => key_bytes = slot.key,
                None => return self.finish(0, 3),
            }
        } else {
            self.clock = 2;
            for (address, place) in words_from(key).zip(key_bytes.chunks_exact_mut(2).take(words)) {
                place.copy_from_slice(&self.read(address).to_le_bytes());
            }
        }
        let mut sponge = Sponge::new(security);
        sponge.key(security, &key_bytes);
        let ad = Range { start: ad_start, end: ad_end };
        let mut output = 0;
        // Copying the key from memory takes two cycles a word.
        let copying = if key == 0 { 0 } else { 2 * words as u64 };
        self.clock = 3 + copying;
        let last = range_words(ad).last();
        for address in range_words(ad) {
            output = sponge.word(self.read(address), Some(address) == last);
        }
        let body = Range { start, end };
        let count = |range: Range| u64::from(range.len().div_ceil(2));
        self.clock = (words as u64 + count(ad)) * self.permutation() - 9 + copying;
        let last = range_words(body).last();
        let mut target = out;
        for address in range_words(body) {
            let input = self.read(address);
            let plain = if opening { input ^ output } else { input };
            self.write(target, input ^ output);
            target = target.wrapping_add(2);
            output = sponge.word(plain, Some(address) != last);
            self.clock += self.permutation();
        }
        let empty = body.is_empty();
        if empty && !opening {
            output = sponge.empty(false);
        }
        let tag = sponge.tag(security, output);
        let calls = 2 * words as u64 - 1 + count(ad) + count(body);
        if opening {
            // The hardware leaves out the empty block of an empty body, so it never accepts one.
            let outcome = if empty { self.compare(tag_at, &tag).and(Err(0)) } else { self.compare(tag_at, &tag) };
            let saved = outcome.err().unwrap_or(0);
            return self.finish(outcome.is_ok().into(), calls * self.permutation() + copying - 5 - saved);
        }
        for (address, word) in words_from(tag_at).zip(tag.chunks_exact(2).take(words)) {
            self.write(address, u16::from_le_bytes([word[0], word[1]]));
        }
        let calls = calls + 1 + u64::from(empty);
        let less = if empty { 9 } else { 7 };
        self.finish(1, calls * self.permutation() + copying - less);
    }
}

/// The addresses of words from one on; behind the last one comes the first.
fn words_from(address: u16) -> impl Iterator<Item = u16> {
    (0..=0xffff).map(move |number: u16| address.wrapping_add(number.wrapping_mul(2)))
}

/// The addresses of a range's words.
fn range_words(range: Range) -> impl Iterator<Item = u16> {
    (range.start..range.end).step_by(2)
}
