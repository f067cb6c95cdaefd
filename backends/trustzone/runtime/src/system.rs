//! What a trusted application asks of its core, in safe functions.

use crate::parameters::Parameters;
use crate::syscall::call;
use veritee_trustzone_format::Uuid;

// Numbers of system calls.
const RETURN: usize = 0;
const PANIC: usize = 2;
const OPEN_SESSION: usize = 5;
const CLOSE_SESSION: usize = 6;
const INVOKE: usize = 7;
const RANDOM: usize = 33;

/// Ends an entry.
pub fn finish(result: u32) -> ! {
    // SAFETY: the call takes one number. It does not come back.
    let _ = unsafe { call(RETURN, [result as usize]) };
    die()
}

/// Ends the application and everything that it keeps: what a panic comes to.
pub fn die() -> ! {
    loop {
        // SAFETY: the call takes a code and no information. It does not come back.
        let _ = unsafe { call(PANIC, [PANICKED]) };
    }
}

/// For the core's log.
const PANICKED: usize = 0x5645_5249;

/// Fills `bytes` with random ones: `TEE_GenerateRandom`.
///
/// # Errors
/// A result code when the core has none.
pub fn random(bytes: &mut [u8]) -> Result<(), u32> {
    // SAFETY: the core writes as many bytes as said to memory that is ours.
    unsafe { call(RANDOM, [bytes.as_mut_ptr() as usize, bytes.len()]) }
}

/// Invokes a command of another trusted application, in a session of its own.
///
/// # Errors
/// A result code when the application cannot be had, or refuses.
pub fn ask(application: Uuid, command: u32, parameters: &mut Parameters) -> Result<(), u32> {
    const FOR_EVER: usize = 0xffff_ffff;
    let (name, mut nothing) = (application.to_tee(), Parameters::new(0));
    let (mut session, mut origin) = (0_u32, 0_u32);
    let (name, nothing) = (name.as_ptr() as usize, &raw mut nothing as usize);
    let places = [&raw mut session as usize, &raw mut origin as usize];
    // SAFETY: a UUID, parameters, and two places for numbers, all of them on this stack.
    unsafe { call(OPEN_SESSION, [name, FOR_EVER, nothing, places[0], places[1]]) }?;
    let (session, parameters) = (session as usize, core::ptr::from_mut(parameters) as usize);
    // SAFETY: an open session, parameters that name no memory but what was lent to this entry, and a place for a number.
    let asked = unsafe { call(INVOKE, [session, FOR_EVER, command as usize, parameters, places[1]]) };
    // SAFETY: the number of a session that is open.
    unsafe { call(CLOSE_SESSION, [session]) }.and(asked)
}
