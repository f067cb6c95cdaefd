/* The light obeys the gateway, and whoever presses the button in the hallway. */
#include "veritee.h"

VT_ENUM(Switch, uint8_t, { Switch_Off = 0, Switch_On = 1 });
VT_STRUCT(Press, { uint32_t number; });
VT_OUTPUT(shine, Switch);
VT_OUTPUT(lit, Switch);

VT_MODULE(rows = 4);

static Switch state;

static void turn(Switch wanted)
{
    state = wanted;
    emit_shine(state);
    emit_lit(state);
}

VT_INPUT(light, Switch, command)
{
    turn(*command);
}

VT_INPUT(pressed, Press, press)
{
    (void)press;
    turn(state == Switch_On ? Switch_Off : Switch_On);
}
