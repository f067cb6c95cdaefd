//! The secure half of the self-test: stands where OP-TEE would, with the same table of entries.
//!
//! A fast call gives its second register plus one, and leaves every other register full of a pattern that the normal world
//! must never see. A yielding call arms the secure timer; its interrupt is counted; a fast call with 0 gives the count.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(not(target_os = "none"))]
fn main() {}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(target_os = "none")]
core::arch::global_asm!(
    r#"
    .section .text.start, "ax"
    .global start
start:
    // GICD_IGROUPR/IGRPMODR of interrupt 29 (secure physical timer): group 1 of the secure world; priority 0; enabled.
    ldr     x0, =0x080b0000
    mov     w1, #0x20000000
    mvn     w2, w1
    str     w2, [x0, #0x80]
    str     w1, [x0, #0xd00]
    strb    wzr, [x0, #0x41d]
    str     w1, [x0, #0x100]
    // ICC_IGRPEN1_EL1 of this world.
    mov     x1, #1
    msr     S3_0_C12_C12_7, x1
    isb
    ldr     x0, =0xbe000000
    adr     x1, entries
    smc     #0
    b       .

    .balign 4
entries:
    b       yielding
    b       fast
    b       .
    b       .
    b       .
    b       .
    b       interrupt
    b       .
    b       .

yielding:
    // CNTPS_TVAL_EL1, CNTPS_CTL_EL1: fires once, x1 ticks from now.
    msr     cntps_tval_el1, x1
    mov     x2, #1
    msr     cntps_ctl_el1, x2
    isb
    mov     x1, #0
    b       leave

fast:
    cbz     x1, count
    add     x1, x1, #1
    b       leave
count:
    adr     x2, counter
    ldr     x1, [x2]
leave:
    ldr     x0, =0xbe000005
    ldr     x5, =0x5ec5ec5ec5ec5ec5
    mov     x2, x5
    mov     x3, x5
    mov     x4, x5
    mov     x6, x5
    mov     x7, x5
    mov     x8, x5
    mov     x9, x5
    mov     x19, x5
    mov     x28, x5
    mov     x30, x5
    msr     tpidr_el1, x5
    msr     tpidr_el0, x5
    msr     sp_el0, x5
    msr     vbar_el1, x5
    msr     contextidr_el1, x5
    smc     #0
    b       .

interrupt:
    // Off, then acknowledged and ended: ICC_IAR1_EL1, ICC_EOIR1_EL1.
    msr     cntps_ctl_el1, xzr
    isb
    mrs     x1, S3_0_C12_C12_0
    msr     S3_0_C12_C12_1, x1
    adr     x2, counter
    ldr     x3, [x2]
    add     x3, x3, #1
    str     x3, [x2]
    ldr     x0, =0xbe000006
    ldr     x1, =0x5ec5ec5ec5ec5ec5
    mov     x20, x1
    smc     #0
    b       .
    .ltorg
    .balign 8
counter:
    .quad   0
"#
);
