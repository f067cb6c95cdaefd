//! The first instructions, and the exception entries of EL3.
//!
//! The stack holds exactly one [`crate::world::Frame`] while a handler runs: an entry pushes it, the return pops it, and
//! EL3 takes no exception of its own (all are masked; a synchronous one is a fault and stops the machine).

core::arch::global_asm!(
    r#"
    .section .text.start, "ax"
    .global monitor_start
monitor_start:
    // SCTLR_EL3: no translation, no caches; RES1 bits, and SA (3): a crooked stack pointer is a fault. Arm ARM D19.2.
    ldr     x0, =0x30c50838
    msr     sctlr_el3, x0
    // VBAR_EL3: where calls, interrupts and faults arrive. Bits 10:0 are RES0, hence the table's alignment; whatever a reset leaves
    // in the register is UNKNOWN. Arm ARM D19.2, `VBAR_EL3`; D1.10.2.
    adr     x0, monitor_vectors
    msr     vbar_el3, x0
    // All kinds of interrupts stay masked at EL3.
    msr     daifset, #0xf
    isb
    ldr     x0, =monitor_bss_start
    ldr     x1, =monitor_bss_end
1:  cmp     x0, x1
    b.hs    2f
    stp     xzr, xzr, [x0], #16
    b       1b
2:  ldr     x0, =monitor_stack_end
    mov     sp, x0
    sub     sp, sp, #272
    mov     x0, sp
    bl      monitor_boot
    b       leave
    .ltorg

    // Pushes a frame (general registers, ELR_EL3, SPSR_EL3, SP_EL0) and hands it to Rust.
    .macro handler name, function
\name:
    sub     sp, sp, #272
    stp     x0, x1, [sp, #0]
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    mrs     x0, elr_el3
    stp     x30, x0, [sp, #240]
    mrs     x0, spsr_el3
    mrs     x1, sp_el0
    stp     x0, x1, [sp, #256]
    mov     x0, sp
    bl      \function
    b       leave
    .endm

    handler synchronous, monitor_synchronous
    handler interrupt, monitor_interrupt

leave:
    ldp     x0, x1, [sp, #256]
    msr     spsr_el3, x0
    msr     sp_el0, x1
    ldp     x30, x0, [sp, #240]
    msr     elr_el3, x0
    ldp     x28, x29, [sp, #224]
    ldp     x26, x27, [sp, #208]
    ldp     x24, x25, [sp, #192]
    ldp     x22, x23, [sp, #176]
    ldp     x20, x21, [sp, #160]
    ldp     x18, x19, [sp, #144]
    ldp     x16, x17, [sp, #128]
    ldp     x14, x15, [sp, #112]
    ldp     x12, x13, [sp, #96]
    ldp     x10, x11, [sp, #80]
    ldp     x8, x9, [sp, #64]
    ldp     x6, x7, [sp, #48]
    ldp     x4, x5, [sp, #32]
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp, #0]
    add     sp, sp, #272
    eret

    // Sixteen entries of 128 bytes (Arm ARM D1.10.2). From EL3 itself, or from AArch32: nothing of that exists here.
    .macro unexpected kind
    .balign 128
    sub     sp, sp, #272
    mrs     x2, elr_el3
    str     x2, [sp, #248]
    mov     x0, #\kind
    mov     x1, sp
    bl      monitor_unexpected
    .endm

    .macro forward to
    .balign 128
    b       \to
    .endm

    .balign 2048
monitor_vectors:
    unexpected 0
    unexpected 1
    unexpected 2
    unexpected 3
    unexpected 4
    unexpected 5
    unexpected 6
    unexpected 7
    forward synchronous
    unexpected 9
    forward interrupt
    unexpected 11
    unexpected 12
    unexpected 13
    unexpected 14
    unexpected 15
"#
);
