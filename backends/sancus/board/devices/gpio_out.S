; Port 1 as eight outputs, 0x20 to 0x27. Command 1 puts the argument on the pins; every command returns what is there.
#include "device.inc"
#define P1OUT 0x21
#define P1DIR 0x22
#define P1SEL 0x26

        device
        cmp     #1, r10
        jne     1f
        mov.b   r8, &P1OUT
        clr.b   &P1SEL
        mov.b   #0xff, &P1DIR
1:      mov.b   &P1OUT, r8
        clr     r9
        device_end
