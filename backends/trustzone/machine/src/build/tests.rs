use super::unfit;

/// The head of a program for a processor, with program headers of these kinds.
fn program(machine: u8, kinds: &[u8]) -> Vec<u8> {
    let mut program = vec![0; 64 + 56 * kinds.len()];
    program[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
    program[18] = machine;
    program[32] = 64;
    program[54] = 56;
    program[56] = u8::try_from(kinds.len()).unwrap();
    for (index, kind) in kinds.iter().enumerate() {
        program[64 + 56 * index] = *kind;
    }
    program
}

#[test]
fn only_static_programs_for_arm64_are_fit() {
    let [load, interpreter, arm64, x86] = [1, 3, 183, 62];
    assert_eq!(unfit(&program(arm64, &[load, load])), None);
    assert!(unfit(&program(x86, &[load])).is_some_and(|reason| reason.contains("arm64")));
    assert!(unfit(&program(arm64, &[load, interpreter])).is_some_and(|reason| reason.contains("static")));
    let whole = program(arm64, &[load]);
    assert!((0..whole.len()).all(|length| unfit(&whole[..length]).is_some()), "a part of it is none");
    assert!(unfit(b"#!/bin/sh").is_some());
}
