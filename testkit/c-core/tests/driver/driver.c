/* A driver that serves one application at a time, with payloads of every kind. */
#include <veritee.h>

VT_MODULE(rows = 3, exclusive);
VT_ENUM(Switch, uint8_t, { Switch_Off = 0, Switch_On = 1, Switch_Fast = 9 });
VT_STRUCT(Order, {
    uint16_t number;
    Switch to;
    bool gently;
    VT_BYTES(5) note;
});

static bool waits;
static Order last;

VT_START() {
    last.number = 7;
}

VT_OUTPUT(done, Order);

/* Does it later, when the firmware polls. */
VT_INPUT(order, Order, wanted) {
    last = *wanted;
    waits = true;
}

VT_POLL() {
    if (waits)
        emit_done(last);
    waits = false;
}

VT_ENTRY(public, look, void, nothing, Order, seen) {
    *seen = last;
}
