; The entry of a driver whose text start stands in an interrupt vector (caller id 0xfff0 and above). The firmware's registers
; wait on the driver's stack; what was interrupted wakes up with interrupts masked, and polls the driver.
;
; Trust: the vector and the stack pointer are the firmware's. The hardware has pushed PC and SR there, but they stay there only if it
; is memory; and `reti` must not go where only the module itself may go.

#include "macros.inc"

        .bss
        .balign 2
wall_number: .space 2

        .section .vt.interrupt,"ax",@progbits
        .global wall_interrupted
wall_interrupted:                       ; r15 = 0xfff0 + the number of the vector
        bit     #1, &wall_state         ; running or open
        jnz     forged
        mov     r1, &wall_caller_sp
        mov     #wall_violate, &wall_caller_pc  ; a halt in here has nobody to return to
        mov     r15, &wall_number
        own_stack
        each    push, r15, r14, r13, r12, r11, r10, r9, r8, r7, r6, r5, r4
        mov     &wall_r15, &vt_stack_top-2  ; r15 as it was
        mov     &wall_number, r12
        and     #0xf, r12
        mov     &wall_caller_sp, r8
        mov     #4, r9
        call    #wall_outside
        jnc     forged
        mov     2(r8), r8               ; where reti will go
        mov     #2, r9
        call    #wall_outside
        jnc     forged
        tst     &wall_state
        jnz     resume
        mov     #RUNNING, &wall_state
        call    #vt_interrupt
        clr     &wall_state
resume: each    pop, r4, r5, r6, r7, r8, r9, r10, r11, r12, r13, r14, r15
        mov     r15, &wall_r15
        callers_stack
        mov     &wall_r15, r15
        bic     #0x18, 0(r1)            ; GIE and CPUOFF of the saved SR
        reti
forged: br      #wall_violate
