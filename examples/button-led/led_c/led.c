/* The light in C: the same ports and messages as the one in Rust, so the button and the owner notice no difference. */
#include <veritee.h>

/* One press, as the button says it: the same name and the same layout make it the same type. */
VT_STRUCT(Press, { uint32_t number; });

/* The question how the light is. */
VT_STRUCT(Question, { });

/* How the light is. */
VT_STRUCT(Light, {
    uint32_t presses;
    bool on;
});

static Light light;

/* The button was pressed. */
VT_INPUT(toggle, Press, press) {
    light.presses++;
    light.on = !light.on;
}

/* Only the owner asks: nobody else has the key of a connection to this handler. */
VT_HANDLER(state, Question, question, Light, now) {
    *now = light;
    return VT_ANSWERED;
}
