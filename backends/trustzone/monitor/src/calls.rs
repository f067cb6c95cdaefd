//! Secure monitor calls: what each world may ask.
//!
//! # Source
//! SMC Calling Convention, Arm DEN 0028 (function identifiers, owners, "unknown" is -1); Power State Coordination
//! Interface, Arm DEN 0022; OP-TEE's `core/arch/arm/include/sm/teesmc_opteed.h` and `teesmc_opteed_macros.h` (what its
//! core says to a monitor, and its table of entries).

/// Answer to a function that is not there (`SMCCC_RET_NOT_SUPPORTED`, `PSCI_RET_NOT_SUPPORTED`).
pub const NOT_SUPPORTED: u64 = -1_i64 as u64;
/// `PSCI_RET_INVALID_PARAMETERS`.
pub const INVALID_PARAMETERS: u64 = -2_i64 as u64;
/// `PSCI_RET_DENIED`.
pub const DENIED: u64 = -3_i64 as u64;
/// `PSCI_RET_ALREADY_ON`.
pub const ALREADY_ON: u64 = -4_i64 as u64;

/// An entry of the secure payload: offset into its table of branches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Entry {
    /// A call that may be interrupted and take long.
    Yielding = 0x00,
    /// A call that runs to its end.
    Fast = 0x04,
    /// A secure interrupt came while the normal world ran.
    Interrupt = 0x18,
}

/// What a call of the normal world comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NormalCall {
    /// This value in its first register.
    Answer(u64),
    /// The secure payload answers.
    Enter(Entry),
    /// The machine is to be switched off.
    PowerOff,
    /// The machine is to start again.
    Reset,
}

/// What a call of the secure payload comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecureCall {
    /// It has started; its table of entries is in the second register.
    Started,
    /// A call of the normal world is done; the answer is in the second to fifth register.
    Done,
    /// A secure interrupt is served; the normal world goes on where it was.
    InterruptDone,
    /// This value in its first register.
    Answer(u64),
}

/// Decides about a call of the normal world. `registers` are its first four.
#[must_use]
pub const fn from_normal(registers: [u64; 4]) -> NormalCall {
    let function = function(registers[0]);
    match owner(function) {
        // Trusted OS and, of old, trusted applications through it.
        0x32..=0x3f => NormalCall::Enter(if function & FAST != 0 { Entry::Fast } else { Entry::Yielding }),
        ARCHITECTURE => NormalCall::Answer(architecture(function, registers[1])),
        STANDARD => power(function, registers),
        _ => NormalCall::Answer(NOT_SUPPORTED),
    }
}

/// Decides about a call of the secure payload. `registers` are its first two.
#[must_use]
pub const fn from_secure(registers: [u64; 2]) -> SecureCall {
    let function = function(registers[0]);
    match function {
        STARTED => SecureCall::Started,
        DONE => SecureCall::Done,
        INTERRUPT_DONE => SecureCall::InterruptDone,
        _ if owner(function) == ARCHITECTURE => SecureCall::Answer(architecture(function, registers[1])),
        _ => SecureCall::Answer(NOT_SUPPORTED),
    }
}

/// The function identifier is the low half of the first register, whatever the convention.
#[expect(clippy::cast_possible_truncation, reason = "the upper half is not part of it")]
const fn function(register: u64) -> u32 {
    register as u32
}

/// Who owns a function: bits 24 to 29.
const fn owner(function: u32) -> u32 {
    (function >> 24) & 0x3f
}

/// Arm architecture calls.
const fn architecture(function: u32, asked: u64) -> u64 {
    match function {
        SMCCC_VERSION => SMCCC_1_1,
        ARCH_FEATURES if self::function(asked) == SMCCC_VERSION || self::function(asked) == ARCH_FEATURES => 0,
        // No workaround of a processor's fault is offered: the emulated one has none.
        _ => NOT_SUPPORTED,
    }
}

/// Power state coordination, for one core.
const fn power(function: u32, registers: [u64; 4]) -> NormalCall {
    NormalCall::Answer(match function {
        PSCI_VERSION => PSCI_1_0,
        // The only core cannot go.
        CPU_OFF => DENIED,
        // It is there already; there is no other.
        CPU_ON_32 | CPU_ON_64 if registers[1] == 0 => ALREADY_ON,
        AFFINITY_INFO_32 | AFFINITY_INFO_64 if registers[1] == 0 => 0,
        CPU_ON_32 | CPU_ON_64 | AFFINITY_INFO_32 | AFFINITY_INFO_64 => INVALID_PARAMETERS,
        // The secure payload needs no migration between cores.
        MIGRATE_INFO_TYPE => 2,
        SYSTEM_OFF => return NormalCall::PowerOff,
        SYSTEM_RESET => return NormalCall::Reset,
        PSCI_FEATURES => match self::function(registers[1]) {
            PSCI_VERSION | CPU_OFF | CPU_ON_32 | CPU_ON_64 | AFFINITY_INFO_32 | AFFINITY_INFO_64
            | MIGRATE_INFO_TYPE | SYSTEM_OFF | SYSTEM_RESET | PSCI_FEATURES | SMCCC_VERSION => 0,
            _ => NOT_SUPPORTED,
        },
        _ => NOT_SUPPORTED,
    })
}

/// The core of OP-TEE has started (`TEESMC_OPTEED_RETURN_ENTRY_DONE`).
pub const STARTED: u32 = 0xbe00_0000;
/// A call is done (`TEESMC_OPTEED_RETURN_CALL_DONE`).
pub const DONE: u32 = 0xbe00_0005;
/// An interrupt is served (`TEESMC_OPTEED_RETURN_FIQ_DONE`).
pub const INTERRUPT_DONE: u32 = 0xbe00_0006;

const FAST: u32 = 1 << 31;
const ARCHITECTURE: u32 = 0;
const STANDARD: u32 = 4;
const SMCCC_VERSION: u32 = 0x8000_0000;
const ARCH_FEATURES: u32 = 0x8000_0001;
const SMCCC_1_1: u64 = 0x0001_0001;
const PSCI_VERSION: u32 = 0x8400_0000;
const PSCI_1_0: u64 = 0x0001_0000;
const CPU_OFF: u32 = 0x8400_0002;
const CPU_ON_32: u32 = 0x8400_0003;
const CPU_ON_64: u32 = 0xc400_0003;
const AFFINITY_INFO_32: u32 = 0x8400_0004;
const AFFINITY_INFO_64: u32 = 0xc400_0004;
const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
const SYSTEM_OFF: u32 = 0x8400_0008;
const SYSTEM_RESET: u32 = 0x8400_0009;
const PSCI_FEATURES: u32 = 0x8400_000a;

#[cfg(test)]
mod tests;
