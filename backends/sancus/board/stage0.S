; What a board does at reset, before any untrusted instruction; and the freshness module, which is part of it. Write-protected
; memory, 0xfc00 to 0xffdf; see docs/board-profile.md. Beside it lies the table of modules, written by the image builder:
; their number, then for each one its vendor id and the bounds of its text and of its secret section. The first is the
; freshness module, so it has id 1.

#include "macros.inc"

#define WATCHDOG    0x120
#define FRCTL       0x1a0
#define FRV         0x1b0
#define NO_SOURCE   4           /* the wire's code: a bare part has no device and reads zero */

        .section .vt.freshness,"ax",@progbits
        .global vt_freshness, vt_freshness_end
; Draws a value that this board never gave before. In: r7 = where to return. Out: r8 to r15 the value, r5 the kind of its
; source, r6 = 0xffff. Serves whoever asks: the value is unique, not secret.
vt_freshness:
        dint
        cmp     #vt_freshness, r7       ; a branch of its own could go past `dint`
        jlo     draw
        cmp     #vt_freshness_end, r7
        jlo     refuse
draw:   mov     #1, &FRCTL
        mov     &FRV, r8
        mov     &FRV+2, r9
        mov     &FRV+4, r10
        mov     &FRV+6, r11
        mov     &FRV+8, r12
        mov     &FRV+10, r13
        mov     &FRV+12, r14
        mov     &FRV+14, r15
        mov     &FRCTL, r5
        tst     r5
        jnz     known
        mov     #NO_SOURCE, r5
known:  clr     r4
        mov     #RETURN, r6
        clr     sr
        br      r7
refuse: clr     &vt_freshness           ; a violation
        jmp     refuse
vt_freshness_end:

        .section .vt.stage0,"ax",@progbits
        .global vt_stage0
vt_stage0:
        mov     #0x5a80, &WATCHDOG
        mov     #vt_ram_start, r4
scrub:  clr     0(r4)
        incd    r4
        cmp     #vt_ram_end, r4
        jlo     scrub
        mov     #vt_table, r4
        mov     @r4+, r5
next:   mov     @r4+, r11
        mov     @r4+, r12
        mov     @r4+, r13
        mov     @r4+, r14
        mov     @r4+, r15
        clr     r10
        .word   0x1381                  ; enable
        tst     r15
        jz      stop
        dec     r5
        jnz     next
        each    clr, r4, r11, r12, r13, r14, r15
        br      #vt_firmware
stop:   jmp     stop                    ; a device without its driver belongs to nobody
