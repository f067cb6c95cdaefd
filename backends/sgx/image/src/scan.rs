//! Instructions that an enclave must not have: a sweep over all code.
//!
//! A processor refuses some instructions inside an enclave; a software SGX cannot make all of them fault. So the image
//! builder is the guard. A linear sweep proves nothing about code that jumps into the middle of instructions; compilers make
//! none, and the enclave's author is who is protected here.

use crate::elf::{Plan, Segment};
use iced_x86::{Code, CpuidFeature, Decoder, DecoderOptions, EncodingKind, Instruction, Mnemonic};

/// ENCLU.
const ENCLU: [u8; 3] = [0x0f, 0x01, 0xd7];
/// The image's one EEXIT: ENCLU and five bytes that do nothing.
pub(crate) const EXIT: [u8; 8] = [0x0f, 0x01, 0xd7, 0x0f, 0x1f, 0x44, 0x00, 0x00];

/// Refuses a program whose code has what an enclave cannot execute, or more than one exit.
pub(crate) fn check(plan: &Plan<'_>) -> Result<(), String> {
    let (mut exits, mut enclus, mut raw) = (0, 0, 0);
    for segment in plan.segments.iter().filter(|segment| segment.execute) {
        enclus += check_segment(segment)?;
        raw += segment.bytes.windows(3).filter(|bytes| *bytes == ENCLU).count();
        let aligned = segment.bytes.chunks_exact(8);
        exits += aligned.filter(|bytes| **bytes == EXIT).count();
        if !segment.address.is_multiple_of(8) {
            return Err("its code is not aligned".to_owned());
        }
    }
    if exits != 1 || raw != enclus {
        return Err(format!("it has {exits} exits and {raw} ENCLU, {enclus} of them visible; an image has one exit"));
    }
    Ok(())
}

/// Checks every instruction and gives the number of ENCLU.
fn check_segment(segment: &Segment<'_>) -> Result<usize, String> {
    let mut decoder = Decoder::with_ip(64, segment.bytes, segment.address, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut enclus = 0;
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if let Some(reason) = refused(&instruction) {
            let what = format!("{:?}", instruction.code()).to_lowercase();
            return Err(format!("its code at {:#x} has {what}, {reason}", instruction.ip()));
        }
        enclus += usize::from(instruction.mnemonic() == Mnemonic::Enclu);
    }
    Ok(enclus)
}

/// Why an instruction cannot be in an enclave of ours.
fn refused(instruction: &Instruction) -> Option<&'static str> {
    use Mnemonic as M;
    match instruction.mnemonic() {
        M::INVALID => return Some("which is no instruction"),
        M::Cpuid | M::Getsec | M::Rdpmc | M::Sgdt | M::Sidt | M::Sldt | M::Str | M::Smsw | M::Vmcall | M::Vmfunc => {
            return Some("which is illegal in an enclave");
        }
        M::Syscall | M::Sysenter | M::Int | M::Int1 | M::Into | M::In | M::Out => {
            return Some("which is illegal in an enclave: an enclave makes no system calls");
        }
        M::Insb | M::Insd | M::Insw | M::Outsb | M::Outsd | M::Outsw => return Some("which is illegal in an enclave"),
        M::Rdtsc | M::Rdtscp => {
            return Some("which some processors refuse in an enclave; a host sets that clock anyway");
        }
        M::Wrfsbase | M::Wrgsbase | M::Swapgs => return Some("which changes where the thread's data are"),
        M::Fninit | M::Ldmxcsr | M::Stmxcsr => return None,
        _ => {}
    }
    if instruction.is_privileged() {
        return Some("which is privileged");
    }
    if !matches!(instruction.encoding(), EncodingKind::Legacy | EncodingKind::VEX) {
        return Some("which needs more vector state than the image declares");
    }
    let features = instruction.cpuid_features();
    if features.iter().any(|feature| matches!(feature, CpuidFeature::FPU | CpuidFeature::MMX)) && !is_plain(instruction)
    {
        return Some("which uses the x87 state, that a host can poison");
    }
    None
}

/// Instructions that are listed with the old coprocessor but leave its state alone.
fn is_plain(instruction: &Instruction) -> bool {
    instruction.code() == Code::Wait
}
