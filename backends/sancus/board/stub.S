; The wall of a protected module: the only way in, the only ways out.
;
; Calling convention, see docs/design/0007-sancus.md: r12 = op, r13 = input, r14 = its bytes, r15 = output, r11 = room there,
; r7 = where to return. Comes back with r12 = bytes of output, r6 = 0xffff, r1 as it was, everything else zero; r12 = 0 is a
; refusal. Interrupts are masked from the first instruction until the caller enables them.
;
; Layout: the text begins with this file's entry. The secret section begins with the stack; the hardware's guard makes a
; stack that leaves it a violation. Then come the module's variables. The last word belongs to the hardware, which would save
; its frame where that word points: into the module's own stack.
;
; Trust: every register is chosen by whoever enters, and so is, on a bare part only, every word of the secret section before
; the first entry. There the module may find itself "halted", "open" or with variables of the attacker's choice.

#include "macros.inc"

        .section .vt.state,"aw",@nobits
        .balign 2
; callee: the hardware's id that an open call must return with; sp: own stack during an open call.
        .irp    name, state, callee, sp, caller_sp, caller_pc, r15
        .global wall_\name
wall_\name: .space 2
        .endr
        .section .vt.frame,"aw",@nobits
wall_frame: .space 2                    ; last word of the secret section

        .section .vt.entry,"ax",@progbits
        .global wall_frame, vt_entry, wall_outside, wall_violate, vt_halt, vt_call_out, vt_fresh, vt_hw_wrap, vt_hw_unwrap
        .weak wall_interrupted
vt_entry: dint                          ; one word: the hardware masks interrupts for exactly one cycle
        mov     r15, &wall_r15
        .word   0x1387                  ; r15 = id of the caller
        cmp     #0xfff0, r15
        jhs     wall_interrupted        ; only drivers serve interrupt vectors
        cmp     #OPEN, &wall_state
        jne     entered
        cmp     #RETURN, r6
        jeq     returned
entered: cmp     #vt_text_start, r7     ; a jump of our own into our own middle would not be a violation
        jlo     far
        cmp     #vt_text_end, r7
        jlo     wall_violate
far:    bit     #1, &wall_state         ; running or open
        jnz     refuse
        cmp     #RETURN, r6             ; a return, and nothing was called
        jeq     refuse
#ifndef VT_DRIVER
        cmp     #DISABLE, r12
        jeq     disable
#endif
        tst     &wall_state
        jnz     refuse
        mov     r7, &wall_caller_pc
        mov     r1, &wall_caller_sp
        own_stack
        mov     &wall_r15, r15
        mov     r13, r8
        mov     r14, r9
        call    #wall_outside
        jnc     none
        mov     r15, r8
        mov     r11, r9
        call    #wall_outside
        jnc     none
        mov     r13, r8                 ; input and output must be even and apart
        bis     r15, r8
        bit     #1, r8
        jnz     none
        mov     r13, r8
        add     r14, r8
        cmp     r8, r15
        jhs     apart
        mov     r15, r8
        add     r11, r8
        cmp     r8, r13
        jlo     none
apart:  mov     #RUNNING, &wall_state
        push    r11
        call    #vt_enter
        clr     &wall_state
        jmp     leave
none:   clr     r12
leave:  mov     &wall_caller_pc, r7
        callers_stack
depart: mov     #RETURN, r6
        each    clr, r4, r5, r8, r9, r10, r11, r13, r14, r15, sr
        br      r7
refuse: clr     r12
        jmp     depart

#ifndef VT_DRIVER
disable:                                ; the hardware wipes text and secret section, and goes on at r15
        mov     r7, r15
        clr     r12
        .word   0x1380
#endif

; Ends in the violation that a word written into the own text is: a reset, or interrupt 13 on a bare part.
wall_interrupted:
wall_violate: clr     &vt_text_start
        jmp     wall_violate

; Sets the carry if [r8, r8+r9) is memory, does not wrap, and is outside this module. Changes r9.
wall_outside: cmp     #0x200, r8        ; peripherals are not memory: what is checked may change before it is used
        jnc     done
        add     r8, r9
        jc      inside
        cmp     #vt_text_end, r8
        jhs     beside
        cmp     #vt_text_start+1, r9
        jhs     inside
beside: cmp     #vt_secret_end, r8
        jhs     done
        cmp     #vt_secret_start+1, r9
        jhs     inside
        setc
done:   ret
inside: clrc
        ret

; Wipes the module; it refuses for ever. Never returns to its caller inside the module.
vt_halt: mov     &wall_caller_pc, r7
        callers_stack
        mov     #vt_secret_start, r8
wipe:   clr     0(r8)
        incd    r8
        cmp     #vt_secret_end, r8
        jlo     wipe
        mov     #HALTED, &wall_state
        jmp     refuse

; uint16_t vt_fresh(uint16_t value[8]): a value that no other activation gets, and the kind of its source.
vt_fresh: clr     0(r12)
        clr     2(r12)
        mov     r12, r14
        mov     #FRESHNESS_ID, r13
        mov     #vt_freshness, r12
; uint16_t vt_call_out(uint16_t target, uint16_t id, uint16_t values[8]): calls the module `id`, whose entry is `target`, with
; the first two values in r8 and r9; puts r8 to r15 of its return into the values and returns its r5.
vt_call_out: each    push, r4, r5, r6, r7, r8, r9, r10, r14
        mov     r1, &wall_sp
        mov     r13, &wall_callee
        mov     #OPEN, &wall_state
        mov     @r14+, r8
        mov     @r14, r9
        mov     r12, r10
        mov     #vt_text_start, r7
        each    clr, r4, r5, r6, r11, r12, r13, r14, r15
        br      r10
returned: cmp     r15, &wall_callee
        jne     vt_halt
        mov     &wall_sp, r1
        mov     #RUNNING, &wall_state
        pop     r4
        .irp    register, 8, 9, 10, 11, 12, 13, 14
        mov     r\register, 2*\register-16(r4)
        .endr
        mov     &wall_r15, 14(r4)
        mov     r5, r12
        each    pop, r10, r9, r8, r7, r6, r5, r4
        ret

; uint16_t vt_hw_wrap(key, ad, ad_bytes, body, body_bytes, cipher, tag) and vt_hw_unwrap(key, ad, ad_bytes, cipher, cipher_bytes,
; plain, tag): the hardware's instructions in the compiler's convention; 1 is success. Lengths are even. Key 0 is the module key.
        .macro  crypt name, opcode
\name:
        each    push, r9, r10
        mov     r12, r9
        mov     r13, r10
        mov     r14, r11
        add     r13, r11
        mov     r15, r12
        mov     6(r1), r13
        add     r12, r13
        mov     8(r1), r14
        mov     10(r1), r15
        .word   \opcode
        mov     r15, r12
        each    pop, r10, r9
        ret
        .endm

        crypt   vt_hw_wrap, 0x1384
        crypt   vt_hw_unwrap, 0x1385
