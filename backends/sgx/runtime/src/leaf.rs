//! Instructions that exist only inside an enclave: EREPORT and EGETKEY.

use core::arch::asm;

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

/// ENCLU leaf EREPORT.
const EREPORT: u64 = 0;

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
