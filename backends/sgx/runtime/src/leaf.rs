//! Instructions that exist only inside an enclave: EREPORT and EGETKEY.

use core::arch::asm;
use veritee_ids::SealPolicy;
use veritee_seal::Secret;
use veritee_tee::KeyName;
use zeroize::Zeroize;

/// TARGETINFO: who can check a report.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(512))]
pub(crate) struct TargetInfo(pub(crate) [u8; 512]);

/// REPORTDATA.
#[repr(C, align(128))]
struct ReportData([u8; 64]);

/// REPORT: what the processor says of this enclave, with a tag for the target.
#[repr(C, align(512))]
pub(crate) struct Report(pub(crate) [u8; 432]);

/// KEYREQUEST.
#[repr(C, align(512))]
struct KeyRequest([u8; 512]);

/// Where a key is written.
#[repr(C, align(16))]
struct KeyPlace([u8; 16]);

/// ENCLU leaves.
const EREPORT: u64 = 0;
const EGETKEY: u64 = 1;

/// Name of sealing keys. Their policies have the numbers of ours.
const SEAL_KEY: u16 = 4;
/// What of the attributes a sealing key depends on: initialised, debug, 64 bits, and what is to come. Not on vector state.
const FLAGS_MASK: [u8; 8] = 0xff00_0000_0000_000b_u64.to_le_bytes();
/// The same of MISCSELECT.
const MISC_MASK: [u8; 4] = 0xf000_0000_u32.to_le_bytes();

/// What the processor says of this enclave and of 64 bytes of its choice.
pub(crate) fn report(target: &TargetInfo, data: &[u8; 64]) -> Report {
    let data = ReportData(*data);
    let mut report = Report([0; 432]);
    // SAFETY: the three operands lie inside the enclave, aligned as their types say; the instruction reads two and writes
    // the third. RBX is the compiler's own register, so it is put back.
    unsafe {
        asm!(
            "xchg rbx, {target}",
            "enclu",
            "xchg rbx, {target}",
            target = inout(reg) target => _,
            inout("rax") EREPORT => _,
            in("rcx") &data,
            in("rdx") &mut report,
        );
    }
    report
}

/// A sealing key of this enclave. `name` is CPUSVN, ISVSVN, and 16 bytes that make it one of many; the processor gives none of
/// versions above its own and the enclave's.
pub(crate) fn sealing_key(policy: SealPolicy, name: &KeyName) -> Option<Secret> {
    let (cpu_svn, rest) = name.split_at(16);
    let (isv_svn, id) = rest.split_at(2);
    let fields: [(usize, &[u8]); 7] = [
        (0, &SEAL_KEY.to_le_bytes()),
        (2, &policy.code().to_le_bytes()),
        (4, isv_svn),
        (8, cpu_svn),
        (24, &FLAGS_MASK),
        (40, id),
        (72, &MISC_MASK),
    ];
    let mut request = KeyRequest([0; 512]);
    for (at, field) in fields {
        request.0.get_mut(at..at + field.len())?.copy_from_slice(field);
    }
    let mut key = KeyPlace([0; 16]);
    let code: u64;
    // SAFETY: both operands lie inside the enclave, aligned as their types say; the instruction reads one and writes the
    // other. RBX is the compiler's own register, so it is put back.
    unsafe {
        asm!(
            "xchg rbx, {request}",
            "enclu",
            "xchg rbx, {request}",
            request = inout(reg) &raw const request => _,
            inout("rax") EGETKEY => code,
            in("rcx") &raw mut key,
        );
    }
    let secret = Secret::new(key.0);
    key.0.zeroize();
    (code == 0).then_some(secret)
}
