/* A valve on the dead-man output. Its position holds for a second after each accepted event, and falls to the safe value
 * of the board without: nothing but an accepted event starts the time anew. */
#include "veritee.h"
#include "../device.h"

enum {
    WRITE = 1,
    HOLD = 977, /* units of 8192 cycles: a second at 8 MHz */
    POSITION_MOST = 255,
};

VT_STRUCT(Position, { uint16_t value; });

VT_MODULE(rows = 3, exclusive);

VT_INPUT(command, Position, wanted)
{
    uint16_t value = wanted->value;
    device(WRITE, value < POSITION_MOST ? value : POSITION_MOST, HOLD);
}
