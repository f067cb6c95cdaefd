//! Words on the secure UART (PL011, Arm DDI 0183). QEMU's needs no set-up; the payload sets it up for itself later.

use crate::registers::{device_read, device_write};
use monitor::memory::SECURE_UART;

/// Writes a text.
pub(crate) fn say(text: &str) {
    for byte in text.bytes() {
        // UARTFR bit 5: the transmit queue is full.
        while device_read(SECURE_UART + 0x18) & (1 << 5) != 0 {}
        device_write(SECURE_UART, u32::from(byte));
    }
}

/// Writes a number.
pub(crate) fn say_hex(value: u64) {
    say("0x");
    for shift in (0..16).rev() {
        let digit = (value >> (4 * shift)) & 0xf;
        let byte = [b"0123456789abcdef"[digit as usize]];
        say(core::str::from_utf8(&byte).unwrap_or("?"));
    }
}
