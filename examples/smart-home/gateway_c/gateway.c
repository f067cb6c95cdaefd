/* The gateway in C: the same ports, messages and rule as the one in Rust. No other module notices which one runs. */
#include <veritee.h>

VT_MODULE(rows = 10);

/* How far the temperature may be from the desired one before the heating changes, and what is desired until the owner
   says something else; in tenths of a degree. */
enum { TOLERANCE_TENTHS = 5, DESIRED_TENTHS = 200 };

VT_STRUCT(Celsius, { int16_t tenths; });
VT_ENUM(Switch, uint8_t, { Switch_Off = 0, Switch_On = 1 });
VT_STRUCT(Command, {
    Celsius desired;
    Switch light;
    uint8_t reserved;
});
VT_STRUCT(Status, {
    Celsius temperature;
    Celsius desired;
    Switch heating;
    Switch light;
    bool measured;
    uint8_t reserved;
});

VT_OUTPUT(heat, Switch);
VT_OUTPUT(light, Switch);
VT_OUTPUT(status, Status);

/* What the gateway knows. An update takes it along. */
VT_STATE(Status, home);

VT_START()
{
    home.desired.tenths = DESIRED_TENTHS;
}

/* How the owner wants the home. */
VT_INPUT(settings, Command, command)
{
    home.desired = command->desired;
    emit_light(command->light);
}

/* The sensor measured. */
VT_INPUT(temperature, Celsius, now)
{
    home.temperature = *now;
    home.measured = true;
}

/* The sensor has not been heard for too long: rather cold than burning. */
VT_LATE(temperature)
{
    home.measured = false;
    emit_heat(Switch_Off);
    emit_status(home);
}

/* The thermostat says what it does. */
VT_INPUT(heating, Switch, state)
{
    home.heating = *state;
    emit_status(home);
}

/* The light switch says what it does. */
VT_INPUT(lit, Switch, state)
{
    home.light = *state;
    emit_status(home);
}

/* Heats when it is too cold, stops when it is too warm, changes nothing in between. */
static Switch wanted_heating(void)
{
    int32_t above = (int32_t)home.temperature.tenths - home.desired.tenths;
    if (!home.measured || above >= TOLERANCE_TENTHS)
        return Switch_Off;
    return above <= -TOLERANCE_TENTHS ? Switch_On : home.heating;
}

/* The heating rule. A timer runs it; whoever else does changes nothing but the moment. */
VT_ENTRY(public, rule)
{
    Switch wanted = wanted_heating();
    if (wanted != home.heating)
        emit_heat(wanted);
    emit_status(home);
}
