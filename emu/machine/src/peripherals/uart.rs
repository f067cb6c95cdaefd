//! A serial line: 8N1, one holding register behind the shift register.
//!
//! | CTL | meaning | STAT | meaning |
//! |---|---|---|---|
//! | 0 | enable | 0 | receiving |
//! | 1 | SMCLK as source | 2 | transmitting |
//! | 4 | interrupt on a received byte | 3 | holding register occupied |
//! | 5 | on overflow | 4 | byte received |
//! | 6 | when a byte was sent | 5 | overflow |
//! | 7 | cannot be set | 6 | a byte was sent |
//! |  |  | 7 | nothing left to send |
//!
//! Writing ones to bits 4 to 7 of STAT clears them, but for those that rise in the same cycle. Switching the line off ends what it
//! was sending and receiving.

use std::collections::VecDeque;

/// A byte that begins to leave the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sent {
    /// The cycle of its start bit.
    pub(crate) cycle: u64,
    /// The byte.
    pub(crate) byte: u8,
    /// The cycle in which its stop bit ends.
    pub(crate) end: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Uart {
    now: u64,
    control: u8,
    status: u8,
    /// Flags that rose since this was cleared.
    risen: u8,
    baud: u16,
    /// Logarithm of the divider of SMCLK.
    pub(crate) shift: u32,
    transmit: u8,
    receive: u8,
    holding: Option<u8>,
    /// The byte on the line and the cycle in which its last bit ends.
    shifting: Option<(u8, u64)>,
    /// The cycle in which the held byte begins to leave.
    reload: Option<u64>,
    /// Bytes that began to leave.
    pub(crate) sent: VecDeque<Sent>,
    /// Start bits to come.
    incoming: VecDeque<(u64, u8)>,
    /// The first cycle in which the next start bit can begin: bytes on a line never overlap.
    incoming_from: u64,
    /// The byte on the way in and the cycle in which it is there.
    receiving: Option<(u8, u64)>,
    /// Bytes that wait for a good moment, and the first cycle in which the line could have brought the next one.
    paced: VecDeque<u8>,
    paced_from: u64,
}

const RECEIVED: u8 = 0x10;
const OVERFLOW: u8 = 0x20;
const DONE: u8 = 0x40;
const EMPTY: u8 = 0x80;

impl Uart {
    pub(crate) fn reset(&mut self, now: u64) {
        *self = Self {
            now,
            sent: core::mem::take(&mut self.sent),
            incoming: core::mem::take(&mut self.incoming),
            paced: core::mem::take(&mut self.paced),
            paced_from: self.paced_from,
            ..Self::default()
        };
    }

    /// Cycles of a bit: of the processor's clock, or of SMCLK.
    pub(crate) fn bit(&self) -> u64 {
        (u64::from(self.baud) + 1) << if self.control & 2 == 0 { 0 } else { self.shift }
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.control & 1 != 0
    }

    /// A start bit begins at a cycle, or, if the line is busy then, when the byte before it is over. Cycles do not decrease.
    pub(crate) fn schedule(&mut self, cycle: u64, byte: u8) {
        self.incoming.push_back((cycle, byte));
    }

    /// A byte arrives when the line could have brought it, the last one was taken, and the caller of `deliver` agrees.
    pub(crate) fn queue(&mut self, byte: u8) {
        self.paced.push_back(byte);
    }

    /// Bytes that wait.
    pub(crate) fn queued(&self) -> usize {
        self.paced.len()
    }

    /// A good moment for a queued byte.
    pub(crate) fn deliver(&mut self, now: u64) {
        if now < self.paced_from || !self.is_enabled() || self.status & RECEIVED != 0 {
            return;
        }
        if let Some(byte) = self.paced.pop_front() {
            self.byte_received(byte);
            self.paced_from = now + 10 * self.bit();
        }
    }

    /// The first cycle after `now` in which something happens.
    fn next(&self) -> u64 {
        let sent = self.shifting.map_or(u64::MAX, |(_, end)| end).min(self.reload.unwrap_or(u64::MAX));
        let received = match (self.receiving, self.incoming.front()) {
            (Some((_, end)), _) => end,
            (None, Some((start, _))) => self.incoming_from.max(*start) + 3,
            (None, None) => u64::MAX,
        };
        sent.min(received)
    }

    pub(crate) fn advance(&mut self, cycle: u64) {
        while self.next() <= cycle {
            let now = self.next();
            if self.shifting.is_some_and(|(_, end)| end <= now) {
                self.byte_sent(now);
            }
            if self.reload == Some(now) {
                self.reload(now);
            }
            if let Some((byte, end)) = self.receiving {
                if end <= now {
                    self.receiving = None;
                    self.byte_received(byte);
                }
            } else if self.incoming.front().is_some_and(|(start, _)| self.incoming_from.max(*start) + 3 <= now) {
                self.start_received();
            }
        }
        self.now = self.now.max(cycle);
    }

    fn byte_sent(&mut self, now: u64) {
        self.raise(DONE);
        self.shifting = None;
        if self.holding.is_some() {
            // The next byte moves up one cycle later.
            self.reload = Some(now + 1);
        } else {
            self.raise(EMPTY);
        }
    }

    fn raise(&mut self, flag: u8) {
        self.status |= flag;
        self.risen |= flag;
    }

    fn reload(&mut self, now: u64) {
        self.reload = None;
        if let Some(byte) = self.holding.take() {
            self.begin(now, byte);
        }
    }

    fn begin(&mut self, cycle: u64, byte: u8) {
        let end = cycle + 10 * self.bit() + 1;
        self.sent.push_back(Sent { cycle, byte, end });
        self.shifting = Some((byte, end));
    }

    fn start_received(&mut self) {
        if let Some((start, byte)) = self.incoming.pop_front() {
            let start = start.max(self.incoming_from);
            self.incoming_from = start + 10 * self.bit();
            if self.is_enabled() {
                self.receiving = Some((byte, start + 4 + 8 * self.bit() + self.bit() / 2));
            }
        }
    }

    fn byte_received(&mut self, byte: u8) {
        if self.status & RECEIVED != 0 {
            self.raise(OVERFLOW);
        }
        self.raise(RECEIVED);
        self.receive = byte;
    }

    /// Registers 0 CTL, 1 STAT, 2 and 3 BAUD, 4 TXD, 5 RXD.
    pub(crate) fn read(&self, register: u16) -> u8 {
        match register {
            0 => self.control,
            1 => {
                self.status
                    | u8::from(self.holding.is_some()) << 3
                    | u8::from(self.shifting.is_some() || self.reload.is_some()) << 2
                    | u8::from(self.receiving.is_some())
            }
            2 => self.baud.to_le_bytes()[0],
            3 => self.baud.to_le_bytes()[1],
            4 => self.transmit,
            5 => self.receive,
            _ => 0,
        }
    }

    /// Writes two registers, those of the lanes; visible one cycle later.
    pub(crate) fn write(&mut self, cycle: u64, register: u16, value: u16, lanes: [bool; 2]) {
        self.advance(cycle);
        self.risen = 0;
        self.advance(cycle + 1);
        let [low, high] = value.to_le_bytes();
        match (register, lanes) {
            (0, _) => {
                if lanes[0] {
                    self.control = low & 0x73;
                    self.stop_if_disabled(cycle + 1);
                }
                if lanes[1] {
                    self.status = self.status & !(high & 0xf0) | self.risen;
                }
            }
            // Both halves are taken when the low one is written.
            (2, [true, _]) => self.baud = value,
            (4, [true, _]) => {
                self.transmit = low;
                self.send(cycle + 1, low);
            }
            _ => {}
        }
    }

    /// A line that is switched off drops the byte that it sends, the one that waits behind it, and the one that it receives.
    fn stop_if_disabled(&mut self, cycle: u64) {
        if self.is_enabled() {
            return;
        }
        if self.shifting.take().is_some() {
            self.sent.pop_back_if(|sent| sent.end > cycle);
        }
        (self.holding, self.reload, self.receiving) = (None, None, None);
    }

    fn send(&mut self, cycle: u64, byte: u8) {
        if !self.is_enabled() {
            return;
        }
        if self.shifting.is_some() || self.reload.is_some() {
            self.holding = Some(byte);
        } else {
            self.begin(cycle + 1, byte);
        }
    }

    pub(crate) fn receive_interrupt(&self) -> bool {
        self.status & self.control & (RECEIVED | OVERFLOW) != 0
    }

    pub(crate) fn transmit_interrupt(&self) -> bool {
        self.status & self.control & DONE != 0
    }

    pub(crate) fn next_event(&self) -> u64 {
        self.next()
    }
}
