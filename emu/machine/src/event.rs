//! What happens on a board, for whoever wants to know.

use veritee_sancus_core::Range;

/// Something that happened, with the cycle in which it became visible.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// An instruction started. Only recorded with [`Kinds::instructions`].
    Instruction {
        /// When.
        cycle: u64,
        /// Where.
        address: u16,
        /// The current module id.
        module: u16,
        /// Its words, and maybe further ones.
        words: [u16; 3],
    },
    /// An interrupt was taken instead of the next instruction.
    Interrupt {
        /// When.
        cycle: u64,
        /// Its number.
        number: u16,
    },
    /// The violation signal rose.
    Violation(Violation),
    /// A port's output register changed.
    Port {
        /// When.
        cycle: u64,
        /// 1 to 4.
        port: u8,
        /// The new value.
        value: u8,
    },
    /// A LED digit was written.
    Digit {
        /// When.
        cycle: u64,
        /// 0 to 7.
        digit: usize,
        /// The new value.
        value: u8,
    },
    /// The dead-man pins changed.
    DeadMan {
        /// When.
        cycle: u64,
        /// The new value.
        value: u8,
    },
    /// A Sancus instruction ended.
    Command {
        /// When it started.
        cycle: u64,
        /// 0 to 15.
        number: u16,
        /// r15 afterwards.
        result: u16,
        /// When it ended.
        end: u64,
    },
    /// A byte began to leave a serial line.
    Byte {
        /// When its start bit began.
        cycle: u64,
        /// 0 or 1.
        line: usize,
        /// The byte.
        byte: u8,
        /// When its stop bit ends.
        end: u64,
    },
    /// The board was reset.
    Reset {
        /// When the signal became active.
        cycle: u64,
        /// When it was released.
        released: u64,
        /// Why.
        cause: Cause,
    },
}

/// Why a board was reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The watchdog, its password, or its flag.
    Watchdog,
    /// A violation, where these reset.
    Violation,
    /// From outside.
    Outside,
}

/// A broken rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Violation {
    /// When the signal rose.
    pub cycle: u64,
    /// The instruction that did it.
    pub pc: u16,
    /// What it did.
    pub what: Breach,
    /// The module that it touched, if one.
    pub module: Option<u16>,
    /// Text section of that module.
    pub text: Range,
}

/// How a rule was broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Breach {
    /// A read of a text section.
    ReadText(u16),
    /// A write to a text section.
    WriteText(u16),
    /// A read of a secret section.
    ReadSecret(u16),
    /// A write to a secret section.
    WriteSecret(u16),
    /// A jump into a module, but not to its first address.
    Enter(u16),
    /// A stack pointer below the guard.
    Stack(u16),
    /// A forbidden access by a Sancus instruction.
    Command(u16),
    /// A write to write-protected program memory.
    Protected(u16),
}

/// Which events are recorded besides violations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kinds {
    /// Each instruction; slow.
    pub instructions: bool,
    /// Interrupts, Sancus instructions, resets.
    pub control: bool,
    /// Outputs: ports, digits, dead-man pins.
    pub outputs: bool,
    /// Bytes on the serial lines.
    pub bytes: bool,
}

/// Events that were recorded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) kinds: Kinds,
    pub(crate) events: Vec<Event>,
}

impl Log {
    pub(crate) fn add(&mut self, event: Event) {
        let wanted = match event {
            Event::Instruction { .. } => self.kinds.instructions,
            Event::Interrupt { .. } | Event::Command { .. } | Event::Reset { .. } => self.kinds.control,
            Event::Violation(_) => true,
            Event::Port { .. } | Event::Digit { .. } | Event::DeadMan { .. } => self.kinds.outputs,
            Event::Byte { .. } => self.kinds.bytes,
        };
        if wanted {
            self.events.push(event);
        }
    }
}
