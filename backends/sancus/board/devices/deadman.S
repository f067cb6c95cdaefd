; Eight outputs with a dead man's switch, 0x1c0 to 0x1c7. Command 1 programs the time in r9 (units of 8192 cycles), puts the
; argument on the pins and starts the time anew. Every command returns the pins in r8 and the state in r9 (1: safe value).
#include "device.inc"
#define DMOUT  0x1c0
#define DMTIME 0x1c4
#define DMSTAT 0x1c6

        device
        cmp     #1, r10
        jne     1f
        mov     r9, &DMTIME
        mov     r8, &DMOUT
1:      mov     &DMOUT, r8
        mov     &DMSTAT, r9
        device_end
