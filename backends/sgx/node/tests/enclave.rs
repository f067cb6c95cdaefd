//! An enclave's life: images that are refused, enclaves that misbehave, restarts of the daemon.

#[path = "support/images.rs"]
mod images;
mod support;

use std::time::Instant;
use support::{Enclave, platform};
use veritee_conformance::Subject as _;
use veritee_conformance::desk::take_apart;
use veritee_host::Platform as _;
use veritee_ids::{Op, Status};
use veritee_sgx_format::sgxs::PageKind;
use veritee_sgx_format::{SgxImage, sigstruct};

/// Where parts of an image are in its file.
const SIGSTRUCT: usize = 16;
const STREAM: usize = SIGSTRUCT + sigstruct::BYTES;

#[track_caller]
fn refused(image: &[u8], reason: &str) {
    let Err(error) = Enclave::try_start(image) else { panic!("it loads, in spite of {reason}") };
    assert!(error.to_string().contains(reason), "{error}");
}

#[test]
fn a_changed_image_is_refused_with_its_reason() {
    if !images::run_here() {
        return;
    }
    let sound = images::probe();
    drop(Enclave::start(&sound));
    let flipped = |at: usize| {
        let mut image = sound.clone();
        image[at] ^= 4;
        image
    };
    let first_data = STREAM + 64 + 64 + 64;
    refused(&flipped(first_data + 100), "SGX_INVALID_MEASUREMENT");
    refused(&flipped(sound.len() - 200), "SGX_INVALID_MEASUREMENT");
    // SECINFO of the first page: it can be executed now.
    refused(&flipped(STREAM + 64 + 16), "SGX_INVALID_MEASUREMENT");
    refused(&flipped(SIGSTRUCT + 960), "SGX_INVALID_SIGNATURE");
    refused(&flipped(SIGSTRUCT + 1026), "SGX_INVALID_SIGNATURE");
    refused(&flipped(SIGSTRUCT + 928), "SGX_INVALID_SIGNATURE");
    refused(&flipped(SIGSTRUCT + 600), "SGX_INVALID_SIGNATURE: Q1 or Q2");
    refused(&flipped(SIGSTRUCT + 1100), "SGX_INVALID_SIGNATURE: Q1 or Q2");
    refused(&flipped(SIGSTRUCT + 130), "SGX_INVALID_SIGNATURE");
    refused(&flipped(SIGSTRUCT), "SGX_INVALID_SIG_STRUCT");
    refused(&flipped(SIGSTRUCT + 60), "SGX_INVALID_SIG_STRUCT");
    refused(&sound[..sound.len() - 1], "SGX_INVALID_MEASUREMENT");
    refused(&sound[..1000], "cut");
    refused(b"nonsense", "no SGX image");
    refused(&flipped(8), "version");
}

#[test]
fn an_image_that_was_signed_wrongly_is_refused() {
    if !images::run_here() {
        return;
    }
    let contents = SgxImage::read(&images::probe()).expect("sound").contents;
    refused(&images::signed(&contents, |bytes| bytes[928] |= 2), "SGX_INVALID_ATTRIBUTE: it was signed for debugging");
    refused(&images::signed(&contents, |bytes| bytes[944] &= !2), "SGX_INVALID_ATTRIBUTE: its signer leaves debugging");
    refused(&images::signed(&contents, |bytes| bytes[936] = 3), "SGX_INVALID_ATTRIBUTE");
    refused(&images::signed(&contents, |bytes| bytes[960] ^= 1), "SGX_INVALID_MEASUREMENT");
    let mut writable = contents.clone();
    let code = writable.pages.iter_mut().find(|page| page.kind == PageKind::EXECUTE).expect("code");
    code.kind = PageKind::Regular { write: true, execute: true };
    refused(&images::signed(&writable, |_| ()), "writable and executable");
    let mut unmeasured = contents;
    let data = unmeasured.pages.iter_mut().find(|page| page.kind == PageKind::EXECUTE).expect("code");
    data.measured = None;
    refused(&images::signed(&unmeasured, |_| ()), "not measured");
}

// Entered as an image is: RDI is the order, RCX where to leave to. A boot is answered; any other order does what the first byte
// of its first call says.
core::arch::global_asm!(
    ".globl veritee_hostile_start, veritee_hostile_end",
    "veritee_hostile_start:",
    "mov rbx, rcx",
    "cmp qword ptr [rdi], 0",
    "je 9f",
    "mov rsi, [rdi + 8]",
    "movzx eax, byte ptr [rsi + 8]",
    "cmp eax, 1",
    "je 21f",
    "cmp eax, 2",
    "je 22f",
    "cmp eax, 3",
    "je 23f",
    "cmp eax, 4",
    "je 24f",
    "cmp eax, 5",
    "je 25f",
    "cmp eax, 6",
    "je 26f",
    "cmp eax, 7",
    "je 27f",
    "cmp eax, 8",
    "je 28f",
    "cmp eax, 9",
    "je 29f",
    "cmp eax, 10",
    "je 30f",
    "cmp eax, 11",
    "je 31f",
    "jmp 9f",
    // 1: it loops
    "21: jmp 21b",
    // 2: it reads where nothing is
    "22: mov rax, [0]",
    "jmp 9f",
    // 3: it executes a system call that nobody may: openat
    "23: mov eax, 257",
    "syscall",
    "jmp 9f",
    // 4: it executes a system call that its runner may: write
    "24: mov eax, 1",
    "mov edi, 2",
    "xor edx, edx",
    "syscall",
    "jmp 9f",
    // 5: it writes to its runner's code
    "25: mov byte ptr [rbx], 0xcc",
    "jmp 9f",
    // 6: it panics
    "26: ud2",
    // 7: it divides by zero
    "27: xor ecx, ecx",
    "xor edx, edx",
    "div ecx",
    "jmp 9f",
    // 8: it leaves to itself
    "28: lea rbx, [rip + 21b]",
    "mov eax, 4",
    "jmp 10f",
    // 9: it has its runner's code make the page of that code writable: mprotect
    "29: lea rdi, [rbx]",
    "and rdi, -4096",
    "mov esi, 4096",
    "mov edx, 7",
    "mov eax, 10",
    "jmp 32f",
    // 10: it has its runner's code map memory that can be executed: mmap
    "30: xor edi, edi",
    "mov esi, 4096",
    "mov edx, 5",
    "mov r10d, 0x22",
    "mov r8, -1",
    "xor r9d, r9d",
    "mov eax, 9",
    "jmp 32f",
    // 11: it has its runner's code make a call that the runner may make: exit_group
    "31: mov edi, 77",
    "mov eax, 231",
    // Looks for a system call in the runner's code, behind the place where it is to leave to, and goes there.
    "32: cmp word ptr [rbx], 0x050f",
    "je 33f",
    "inc rbx",
    "jmp 32b",
    "33: jmp rbx",
    "9: mov qword ptr [rdi + 40], 0",
    "mov eax, 4",
    ".balign 8",
    "10: .byte 0x0f, 0x01, 0xd7, 0x0f, 0x1f, 0x44, 0x00, 0x00",
    "veritee_hostile_end:",
    ".balign 8",
);

unsafe extern "C" {
    static veritee_hostile_start: u8;
    static veritee_hostile_end: u8;
}

fn hostile() -> Vec<u8> {
    let (start, end) = (&raw const veritee_hostile_start, &raw const veritee_hostile_end);
    // SAFETY: both labels stand around the code above, which is part of this program's text.
    let code = unsafe { core::slice::from_raw_parts(start, end.byte_offset_from_unsigned(start)) };
    // Its exit must be aligned where it is put.
    assert_eq!(start as usize % 8, 0, "the code is aligned");
    images::signed(&images::enclave(code), |_| ())
}

#[test]
fn an_enclave_that_misbehaves_is_contained_and_named() {
    if !images::run_here() {
        return;
    }
    let image = hostile();
    let killed = "signal 31 (SIGSYS): the module tried a system call that the sandbox refuses";
    let cases = [
        (1, "did not return in time"),
        (2, "touched memory that is not its own"),
        (3, killed),
        (4, killed),
        (5, "touched memory that is not its own"),
        (6, "illegal instruction"),
        (7, "divided by zero"),
        (8, "illegal instruction"),
    ];
    for (behaviour, reason) in cases {
        let mut enclave = Enclave::start(&image);
        enclave.hosted.push(1, Op::Entry, &[behaviour]).expect("room");
        enclave.hosted.flush();
        assert_eq!(enclave.output(), None, "behaviour {behaviour} gives no output");
        let death = enclave.hosted.death().expect("it ended").reason;
        assert!(death.contains(reason), "behaviour {behaviour}: {death}");
    }
    // The node is as before.
    let mut probe = Enclave::start(&images::probe());
    assert_eq!(take_apart(&probe.enter(Op::Attest, &[0; 16])).result.status, Status::Accepted);
}

/// In software an enclave can borrow its runner's code, where its own may make no system call: the runner has given up what
/// makes code of data.
#[test]
fn nothing_can_be_made_executable_after_the_start() {
    if !images::run_here() {
        return;
    }
    let image = hostile();
    let end_of = |behaviour: u8| {
        let mut enclave = Enclave::start(&image);
        let pid = std::fs::read_to_string(enclave.folder.path().join("pid")).expect("a pid");
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", pid.trim())).expect("it lives");
        let rights = maps.lines().filter_map(|line| line.split(' ').nth(1));
        assert!(!rights.clone().any(|rights| rights.starts_with("rwx")), "{maps}");
        assert!(rights.clone().any(|rights| rights.starts_with("r-x")), "{maps}");
        enclave.hosted.push(1, Op::Entry, &[behaviour]).expect("room");
        enclave.hosted.flush();
        assert_eq!(enclave.output(), None, "behaviour {behaviour} gives no output");
        enclave.hosted.death().expect("it ended").reason
    };
    let borrowed = end_of(11);
    assert!(borrowed.contains("77"), "the runner's own calls can be borrowed: {borrowed}");
    for behaviour in [9, 10] {
        let reason = end_of(behaviour);
        assert!(reason.contains("SIGSYS"), "behaviour {behaviour}: {reason}");
    }
}

#[test]
fn a_daemon_takes_a_living_enclave_over() {
    if !images::run_here() {
        return;
    }
    let mut enclave = Enclave::start(&images::probe());
    let before = take_apart(&enclave.enter(Op::Attest, &[1; 16])).reply;
    let adopted = platform().adopt(enclave.folder.path()).expect("it lives");
    drop(std::mem::replace(&mut enclave.hosted, adopted));
    let after = take_apart(&enclave.enter(Op::Attest, &[2; 16])).reply;
    assert_eq!(before[20..36], after[20..36], "the activation is the same");
}

#[test]
fn runners_hold_no_keys_and_end_with_their_service() {
    if !images::run_here() {
        return;
    }
    let enclave = Enclave::start(&images::probe());
    let pid = std::fs::read_to_string(enclave.folder.path().join("pid")).expect("a pid");
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").count();
    assert_eq!(files, 7, "standard files, two doorbells, the lock, the platform");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2") && status.contains("Threads:\t1"));
}

#[test]
fn loading_and_attesting_is_quick() {
    if !images::run_here() {
        return;
    }
    let image = images::probe();
    drop(Enclave::start(&image));
    let best = (0..5).map(|_| {
        let start = Instant::now();
        let mut enclave = Enclave::start(&image);
        let reply = take_apart(&enclave.enter(Op::Attest, &[0; 16])).reply;
        enclave.transcript(&reply);
        start.elapsed()
    });
    println!("loaded, measured, attested in {:?}", best.min().expect("five times"));
}
