; What the compiler calls and MSP430 has no instruction for. Linked into the text of every module that needs it, function by
; function. The hardware multiplier is not used: its registers belong to nobody, so the firmware could read the operands.
;
; Convention (TI's EABI): arguments in r12 to r15, 64-bit values in r8 to r11 and r12 to r15; r4 to r10 are kept.

        .macro  function name
        .section .text.\name,"ax",@progbits
        .global \name
\name:
        .endm

; r12 = r12 * r13
        function __mspabi_mpyi
        mov     r12, r14
        clr     r12
1:      clrc
        rrc     r13
        jnc     2f
        add     r14, r12
2:      rla     r14
        tst     r13
        jnz     1b
        ret

; r13:r12 = r13:r12 * r15:r14
        function __mspabi_mpyl
        push    r10
        push    r11
        mov     r12, r10
        mov     r13, r11
        clr     r12
        clr     r13
1:      clrc
        rrc     r15
        rrc     r14
        jnc     2f
        add     r10, r12
        addc    r11, r13
2:      rla     r10
        rlc     r11
        tst     r14
        jnz     1b
        tst     r15
        jnz     1b
        pop     r11
        pop     r10
        ret

; r12 = r12 / r13, r14 = the rest, unsigned. Division by zero gives 0xffff.
        function __mspabi_divu
        mov     #16, r15
        clr     r14
1:      rla     r12
        rlc     r14
        jc      2f                      ; above 16 bits
        cmp     r13, r14
        jlo     3f
2:      sub     r13, r14
        bis     #1, r12
3:      dec     r15
        jnz     1b
        ret

        function __mspabi_remu
        call    #__mspabi_divu
        mov     r14, r12
        ret

; Signed division rounds towards zero; the rest has the sign of the dividend.
        function __mspabi_divi
        push    r12
        call    #vt_signs
        call    #__mspabi_divu
        pop     r14
        xor     r11, r14
        tst     r14
        jge     1f
        inv     r12
        inc     r12
1:      ret

        function __mspabi_remi
        push    r12
        call    #vt_signs
        call    #__mspabi_divu
        mov     r14, r12
        pop     r14
        tst     r14
        jge     1f
        inv     r12
        inc     r12
1:      ret

; Makes r12 and r13 absolute; r11 = r13 as it was.
        function vt_signs
        mov     r13, r11
        tst     r12
        jge     1f
        inv     r12
        inc     r12
1:      tst     r13
        jge     2f
        inv     r13
        inc     r13
2:      ret

; r13:r12 = r13:r12 / r15:r14, r11:r10 of the inner function is the rest, unsigned.
        function __mspabi_divul
        push    r10
        call    #vt_divide
        pop     r10
        ret

        function __mspabi_remul
        push    r10
        call    #vt_divide
        mov     r10, r12
        mov     r11, r13
        pop     r10
        ret

; Signed, as above.
        function __mspabi_divli
        push    r10
        push    r13
        xor     r15, 0(r1)
        call    #vt_long_signs
        call    #vt_divide
        pop     r14
        tst     r14
        jge     1f
        inv     r12
        inv     r13
        inc     r12
        adc     r13
1:      pop     r10
        ret

        function __mspabi_remli
        push    r10
        push    r13
        call    #vt_long_signs
        call    #vt_divide
        mov     r10, r12
        mov     r11, r13
        pop     r14
        tst     r14
        jge     1f
        inv     r12
        inv     r13
        inc     r12
        adc     r13
1:      pop     r10
        ret

; Makes r13:r12 and r15:r14 absolute.
        function vt_long_signs
        tst     r13
        jge     1f
        inv     r12
        inv     r13
        inc     r12
        adc     r13
1:      tst     r15
        jge     2f
        inv     r14
        inv     r15
        inc     r14
        adc     r15
2:      ret

        function vt_divide
        push    r9
        mov     #32, r9
        clr     r10
        clr     r11
1:      rla     r12
        rlc     r13
        rlc     r10
        rlc     r11
        jc      2f                      ; above 32 bits
        cmp     r15, r11
        jlo     3f
        jne     2f
        cmp     r14, r10
        jlo     3f
2:      sub     r14, r10
        subc    r15, r11
        bis     #1, r12
3:      dec     r9
        jnz     1b
        pop     r9
        ret

; Shifts of r13:r12 by r14 bits.
        function __mspabi_slll
        tst     r14
        jz      2f
1:      rla     r12
        rlc     r13
        dec     r14
        jnz     1b
2:      ret

        function __mspabi_srll
        tst     r14
        jz      2f
1:      clrc
        rrc     r13
        rrc     r12
        dec     r14
        jnz     1b
2:      ret

        function __mspabi_sral
        tst     r14
        jz      2f
1:      rra     r13
        rrc     r12
        dec     r14
        jnz     1b
2:      ret

; 64-bit shifts: r15:r14:r13:r12 by the bits in 2(r1).
        .macro  shift name, first, second, third, fourth
        function \name
        mov     2(r1), r11
        tst     r11
        jz      2f
1:      clrc
        \first
        \second
        \third
        \fourth
        dec     r11
        jnz     1b
2:      ret
        .endm

        shift   __ashldi3, "rlc r12", "rlc r13", "rlc r14", "rlc r15"
        shift   __lshrdi3, "rrc r15", "rrc r14", "rrc r13", "rrc r12"
        shift   __ashrdi3, "rra r15", "rrc r14", "rrc r13", "rrc r12"

; r15:r14:r13:r12 = r15:r14:r13:r12 * r11:r10:r9:r8
        function __mspabi_mpyll
        push    r4
        push    r5
        push    r6
        push    r7
        push    r8
        push    r9
        push    r10
        push    #64
        mov     r12, r4
        mov     r13, r5
        mov     r14, r6
        mov     r15, r7
        clr     r12
        clr     r13
        clr     r14
        clr     r15
1:      clrc
        rrc     r7
        rrc     r6
        rrc     r5
        rrc     r4
        jnc     2f
        add     r8, r12
        addc    r9, r13
        addc    r10, r14
        addc    r11, r15
2:      rla     r8
        rlc     r9
        rlc     r10
        rlc     r11
        dec     0(r1)
        jnz     1b
        incd    r1
        pop     r10
        pop     r9
        pop     r8
        pop     r7
        pop     r6
        pop     r5
        pop     r4
        ret

; void *memcpy(void *to, const void *from, size_t bytes), memmove, memset, memcmp of the C standard.
        function memmove
        cmp     r12, r13                ; from >= to: upwards
        jhs     memcpy
        mov     r12, r15
        add     r14, r15
        add     r14, r13
1:      tst     r14
        jz      2f
        dec     r13
        dec     r15
        mov.b   @r13, 0(r15)
        dec     r14
        jmp     1b
2:      ret
        .global memcpy
memcpy: mov     r12, r15
3:      tst     r14
        jz      4f
        mov.b   @r13, 0(r15)
        inc     r13
        inc     r15
        dec     r14
        jmp     3b
4:      ret

        function memset
        mov     r12, r15
1:      tst     r14
        jz      2f
        mov.b   r13, 0(r15)
        inc     r15
        dec     r14
        jmp     1b
2:      ret

        function memcmp
        mov     r12, r15
        clr     r12
1:      tst     r14
        jz      2f
        mov.b   @r15+, r12
        mov.b   @r13+, r11
        sub     r11, r12
        jnz     2f
        dec     r14
        jmp     1b
2:      ret
