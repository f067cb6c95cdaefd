/* A button on port 2, pin 0. The device remembers a press until the driver takes it; the interrupt only counts. */
#include "veritee.h"
#include "../device.h"

enum { LISTEN = 1, TAKE = 2, BUTTON = 0x01 };

VT_STRUCT(Press, { uint32_t number; });
VT_OUTPUT(pressed, Press);

VT_MODULE(rows = 4, exclusive);

static uint32_t presses, told;

VT_START()
{
    presses = told = 0;
    device(LISTEN, BUTTON, 0);
}

static void take(void)
{
    if (device(TAKE, 0, 0).first & BUTTON)
        presses++;
}

VT_INTERRUPT(number)
{
    (void)number;
    take();
}

/* One press for each poll: a handler emits once. */
VT_POLL()
{
    take();
    if (told != presses)
        emit_pressed((Press){ ++told });
}
