; Port 2 as eight inputs, 0x28 to 0x2f. Command 1 begins to listen for rising edges on the pins of the argument and forgets
; edges before. Command 2 takes the edges since: r8 = edges, which it forgets. Every command returns the levels in r9.
#include "device.inc"
#define P2IN  0x28
#define P2DIR 0x2a
#define P2IFG 0x2b
#define P2IES 0x2c
#define P2IE  0x2d
#define P2SEL 0x2e

        device
        cmp     #1, r10
        jne     1f
        clr.b   &P2SEL
        clr.b   &P2DIR
        clr.b   &P2IES
        clr.b   &P2IFG
        mov.b   r8, &P2IE
        clr     r8
        jmp     2f
1:      mov.b   &P2IFG, r8
        mov.b   &P2IE, r9
        and     r9, r8
        bic.b   r8, &P2IFG
2:      mov.b   &P2IN, r9
        device_end
