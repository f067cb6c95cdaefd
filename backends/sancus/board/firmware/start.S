; Start, interrupts, and the few steps of the firmware that C cannot say.

#include "macros.inc"

        .section .start,"ax",@progbits
        .global vt_firmware
vt_firmware:                            ; first word of the firmware: stage 0 jumps here
        mov     #vt_firmware_stack, r1
        br      #main

        .text
        .global enter, enable, fresh, mac, sleep
; uint16_t enter(const struct entry *entry)
enter:  each    push, r4, r5, r6, r7, r8, r9, r10
        mov     r1, &own_stack          ; a module may come back with any other
        mov     @r12+, r10
        mov     r12, r8
        mov     @r8+, r12
        mov     @r8+, r13
        mov     @r8+, r14
        mov     @r8+, r15
        mov     @r8, r11
        clr     r6
        mov     #entered, r7
        br      r10
entered:
        dint
        nop
        mov     &own_stack, r1
        clr     &own_stack
        each    pop, r10, r9, r8, r7, r6, r5, r4
        ret

; uint16_t enable(vendor, text_start, text_end, secret_start, secret_end)
enable: each    push, r9, r10
        mov     r12, r11
        mov     r13, r12
        mov     r14, r13
        mov     r15, r14
        mov     6(r1), r15
        clr     r9
        clr     r10
        .word   0x1381
        mov     r15, r12
        each    pop, r10, r9
        ret

; uint16_t fresh(uint16_t value[8])
fresh:  each    push, r4, r5, r6, r7, r8, r9, r10
        push    r12
        mov     r1, &own_stack
        mov     #drawn, r7
        br      #vt_freshness
drawn:  mov     &own_stack, r1
        clr     &own_stack
        pop     r4
        mov     r8, 0(r4)
        mov     r9, 2(r4)
        mov     r10, 4(r4)
        mov     r11, 6(r4)
        mov     r12, 8(r4)
        mov     r13, 10(r4)
        mov     r14, 12(r4)
        mov     r15, 14(r4)
        mov     r5, r12
        each    pop, r10, r9, r8, r7, r6, r5, r4
        ret

; void mac(const void *key, const void *data, uint16_t data_bytes, void *tag)
mac:    each    push, r9, r10
        mov     r12, r9
        mov     r13, r10
        mov     r14, r11
        add     r13, r11
        clr     r12
        clr     r13
        .word   0x1384
        each    pop, r10, r9
        ret

; Interrupts come back with GIE and CPUOFF clear, so that sleep ends.
sleep:  bis     #0x18, sr
        nop
        ret
tick:   inc     &ticks
wake:
        .weak   vt_port2
vt_port2:
        bic     #0x18, 0(r1)
        reti

; A violation on a bare part; the profile resets at once instead. The call under way returns nothing; without a call the
; firmware begins anew.
fault:  tst     &own_stack
        jz      vt_firmware
        clr     r12
        jmp     entered

        .bss
        .global ticks
        .balign 2
own_stack: .space 2
ticks:  .space 2

        .section .boots,"aw",@progbits  ; program memory, which stays over a reset
        .global boots
boots:  .word 0

        .section .vectors,"a",@progbits
        .word   wake, wake, wake
        .word   vt_port2                ; a driver, if the board has one for the buttons
        .word   wake, wake, wake
        .word   wake                    ; UART1
        .word   wake
        .word   tick                    ; timer A
        .word   wake, wake, wake
        .word   fault
        .word   wake
