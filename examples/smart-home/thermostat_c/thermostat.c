/* Lets the burner burn as the gateway says, and tells what it did. */
#include "veritee.h"

VT_ENUM(Switch, uint8_t, { Switch_Off = 0, Switch_On = 1 });
VT_OUTPUT(flame, Switch);
VT_OUTPUT(heating, Switch);

VT_MODULE(rows = 3);

VT_INPUT(heat, Switch, command)
{
    emit_flame(*command);
    emit_heating(*command);
}
