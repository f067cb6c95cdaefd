//! A trace that a person can read: one line for each thing that happened.
//!
//! ```text
//!      cycle  module     where
//!        114  0          main+0x12                6110  mov     #0x5a80, &0x0120
//!        120                                      -- P1OUT = 01
//! ```

use std::io::Write;
use veritee_machine::{Event, Symbols};

/// Writes the line of an event.
pub(crate) fn write(output: &mut impl Write, event: &Event, symbols: &Symbols) -> std::io::Result<()> {
    if let Event::Instruction { cycle, address, module, words } = *event {
        let name = symbols.address(address);
        let text = veritee_msp430::disassemble(address, words);
        return writeln!(output, "{cycle:>11}  {module:<5}  {name:<24} {address:04x}  {text}");
    }
    let (cycle, text) = describe(event, symbols);
    writeln!(output, "{cycle:>11}  {:<5}  {:<24} --    {text}", "", "")
}

/// The cycle of an event, and what happened.
pub(crate) fn describe(event: &Event, symbols: &Symbols) -> (u64, String) {
    match event {
        Event::Instruction { cycle, address, .. } => (*cycle, symbols.address(*address)),
        Event::Interrupt { cycle, number } => (*cycle, format!("interrupt {number}")),
        Event::Violation(violation) => (violation.cycle, format!("violation: {}", symbols.violation(violation))),
        Event::Port { cycle, port, value } => (*cycle, format!("P{port}OUT = {value:02x}")),
        Event::Digit { cycle, digit, value } => (*cycle, format!("digit {digit} = {value:02x}")),
        Event::DeadMan { cycle, value } => (*cycle, format!("dead-man pins = {value:02x}")),
        Event::Command { cycle, number, result, end } => {
            (*cycle, format!("Sancus instruction {number}: r15 = {result:04x} after {} cycles", end - cycle))
        }
        Event::Byte { cycle, line, byte, .. } => (*cycle, format!("uart{} sends {byte:02x}", line + 1)),
        Event::Reset { cycle, cause, .. } => (*cycle, format!("reset: {cause:?}")),
        other => (0, format!("{other:?}")),
    }
}
