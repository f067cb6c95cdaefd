/* A light on port 1. It obeys one application at a time. */
#include "veritee.h"
#include "../device.h"

enum { WRITE = 1, LIGHT = 0x20 };

VT_ENUM(Switch, uint8_t, { Switch_Off = 0, Switch_On = 1 });
VT_STRUCT(Press, { uint32_t number; });

VT_MODULE(rows = 3, exclusive);

static bool on;

static void show(void)
{
    device(WRITE, on ? LIGHT : 0, 0);
}

/* On or off, as the event says. */
VT_INPUT(set, Switch, now)
{
    on = *now == Switch_On;
    show();
}

/* The other way round, with every event. */
VT_INPUT(toggle, Press, press)
{
    (void)press;
    on = !on;
    show();
}
