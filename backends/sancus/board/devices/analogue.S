; Two analogue inputs, 0x1c8 to 0x1cb. Returns the sample of input 0 in r8, that of input 1 in r9.
#include "device.inc"
#define ADC0 0x1c8
#define ADC1 0x1ca

        device
        mov     &ADC0, r8
        mov     &ADC1, r9
        device_end
