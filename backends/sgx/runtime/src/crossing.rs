//! Across the wall: the host's order is judged and copied once; answers are copied out.
//!
//! An order is eight words (u64) outside the enclave:
//!
//! | word | field |
//! |---|---|
//! | 0 | order: 0 boot (input: the quoting enclave's TARGETINFO), 1 enter (input: calls) |
//! | 1, 2 | input: address, length |
//! | 3, 4 | output: address, length |
//! | 5 | answer: what it came to, see [`Outcome`] |
//! | 6 | answer: bytes of output |
//! | 7 | answer: calls that were taken |
//!
//! Addresses are multiples of eight; memory outside is read and written in aligned words only.

use core::slice;

/// Words of an order.
const ORDER_WORDS: usize = 8;
/// Words of the layout page that are used here.
const SIZE: usize = 1;
const CALLS: usize = 6;
const OUTPUTS: usize = 8;

/// What the host ordered: a copy.
pub(crate) struct Order {
    pub(crate) op: u64,
    input: (u64, u64),
    output: (u64, u64),
}

impl Order {
    pub(crate) const BOOT: u64 = 0;
    pub(crate) const ENTER: u64 = 1;
}

/// What an order came to.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    code: u64,
    taken: u64,
    written: usize,
}

impl Outcome {
    pub(crate) const BAD_POINTERS: Self = Self::code(1);
    pub(crate) const BAD_LENGTH: Self = Self::code(2);
    pub(crate) const BAD_ORDER: Self = Self::code(3);
    pub(crate) const NO_ENTROPY: Self = Self::code(4);

    const fn code(code: u64) -> Self {
        Self { code, taken: 0, written: 0 }
    }

    pub(crate) const fn done(taken: u64, written: usize) -> Self {
        Self { code: 0, taken, written }
    }

    /// The same, after calls that did happen.
    pub(crate) const fn after(self, taken: u64, written: usize) -> Self {
        Self { code: self.code, taken, written }
    }
}

/// This enclave: its range, and its rooms for copies.
pub(crate) struct Enclave {
    base: u64,
    size: u64,
    calls: (*mut u64, usize),
    outputs: (*mut u64, usize),
}

impl Enclave {
    /// # Safety
    /// 1. `layout` is the enclave's own measured layout page, `base` its base.
    /// 2. Nobody else uses the rooms that it names while the value lives.
    pub(crate) unsafe fn new(base: u64, layout: *const u64) -> Self {
        // SAFETY: a page has 512 words (duty 1).
        let word = |at: usize| unsafe { layout.add(at).read() };
        let room = |at: usize| ((base + word(at)) as *mut u64, word(at + 1) as usize);
        Self { base, size: word(SIZE), calls: room(CALLS), outputs: room(OUTPUTS) }
    }

    /// Whether a range of whole words lies outside this enclave. Says nothing of what is there.
    fn is_outside(&self, address: u64, length: u64) -> bool {
        let Some(end) = length.checked_next_multiple_of(8).and_then(|length| address.checked_add(length)) else {
            return false;
        };
        address.is_multiple_of(8) && (end <= self.base || address >= self.base + self.size)
    }

    /// Copies the host's order; `None` when it does not lie outside, so that there is nobody to answer.
    pub(crate) fn order(&self, block: u64) -> Option<Order> {
        if !self.is_outside(block, (8 * ORDER_WORDS) as u64) {
            return None;
        }
        fence();
        // SAFETY: outside, aligned (checked above). If nothing is mapped there, the host harms itself.
        let word = |at: usize| unsafe { (block as *const u64).add(at).read_volatile() };
        Some(Order { op: word(0), input: (word(1), word(2)), output: (word(3), word(4)) })
    }

    /// Copies the input, and gives it with the room for output; `None` when the order's ranges are not acceptable.
    pub(crate) fn copy_in(&mut self, order: &Order) -> Option<(&'static mut [u8], &'static mut [u8])> {
        let acceptable = |(address, length): (u64, u64)| self.is_outside(address, length);
        if !acceptable(order.input) || !acceptable(order.output) {
            return None;
        }
        let input = usize::try_from(order.input.1).ok().filter(|length| *length <= self.calls.1)?;
        let output = usize::try_from(order.output.1).unwrap_or(usize::MAX).min(self.outputs.1) / 8 * 8;
        fence();
        for at in 0..input.div_ceil(8) {
            // SAFETY: source outside and aligned (checked above), destination inside the room for calls, whose length is a
            // multiple of eight.
            unsafe { self.calls.0.add(at).write((order.input.0 as *const u64).add(at).read_volatile()) };
        }
        // SAFETY: the rooms are this value's alone (duty 2 of `new`), distinct, and as long as said; every byte of the input
        // was written above, and the output is plain bytes of which only written ones are copied out.
        let slice = |(room, _): (*mut u64, usize), length| unsafe { slice::from_raw_parts_mut(room.cast(), length) };
        Some((slice(self.calls, input), slice(self.outputs, output)))
    }

    /// Copies the output out and writes the answer; its code last.
    pub(crate) fn answer(&self, block: u64, order: &Order, outcome: Outcome) {
        for at in 0..outcome.written.div_ceil(8) {
            // SAFETY: `written` is at most the output's length, whole words of which lie outside and aligned (checked before).
            unsafe { (order.output.0 as *mut u64).add(at).write_volatile(self.outputs.0.add(at).read()) };
        }
        for (at, word) in [(6, outcome.written as u64), (7, outcome.taken), (5, outcome.code)] {
            // SAFETY: the order lies outside and is aligned (checked when it was copied).
            unsafe { (block as *mut u64).add(at).write_volatile(word) };
        }
    }
}

/// Nothing behind it runs on guesses about what was checked before it.
fn fence() {
    // SAFETY: the instruction changes nothing.
    unsafe { core::arch::x86_64::_mm_lfence() };
}
