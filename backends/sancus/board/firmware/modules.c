/* Modules and reserved memory. The host picks the addresses; here it is only checked that they are free. */
#include "board.h"

struct module modules[HANDLES];
uint32_t last_call;

void modules_start(void)
{
    for (uint16_t handle = 0; handle < HANDLES; handle++)
        modules[handle].state = FREE;
    for (uint16_t handle = 0; handle < board.drivers; handle++) {
        const struct driver *driver = &board_drivers[handle];
        struct module *module = &modules[handle];
        module->state = DRIVER;
        module->id = driver->id;
        module->vendor = driver->vendor;
        module->text_start = driver->text_start;
        module->text_end = driver->text_end;
        module->secret_start = driver->secret_start;
        module->secret_end = driver->secret_end;
        module->room = driver->room;
        module->poll = module->wait = driver->poll;
    }
    last_call = 0;
}

uint16_t handles_free(void)
{
    uint16_t free = MODULES;
    for (uint16_t handle = board.drivers; handle < HANDLES; handle++)
        if (modules[handle].state != FREE)
            free--;
    return free;
}

uint16_t slots_free(void)
{
    uint16_t free = board.slots;
    for (uint16_t handle = board.drivers; handle < HANDLES; handle++)
        if (modules[handle].state == ENABLED)
            free--;
    return free;
}

static int apart(uint16_t start, uint16_t end, uint16_t other_start, uint16_t other_end)
{
    return end <= other_start || start >= other_end;
}

/* Is [start, start + bytes) a usable piece of [low, high)? */
static int inside(uint16_t start, uint16_t bytes, uint16_t low, uint16_t high)
{
    return !((start | bytes) & 1) && bytes && start >= low && start < high && bytes <= high - start;
}

enum code module_reserve(const uint16_t place[4], uint8_t *handle)
{
    uint16_t text_end = place[0] + place[1], secret_end = place[2] + place[3];
    if (!inside(place[0], place[1], board.text_start, board.text_end) ||
        !inside(place[2], place[3], board.secret_start, board.secret_end))
        return NOT_FREE;
    struct module *free = 0;
    for (struct module *module = &modules[HANDLES]; module-- > &modules[board.drivers];) {
        if (module->state == FREE)
            free = module;
        else if (!apart(place[0], text_end, module->text_start, module->text_end) ||
                 !apart(place[2], secret_end, module->secret_start, module->secret_end))
            return NOT_FREE;
    }
    if (!free || !handles_free())
        return FULL;
    free->state = RESERVED;
    free->id = free->vendor = free->room = free->poll = 0;
    free->text_start = place[0];
    free->text_end = text_end;
    free->secret_start = place[2];
    free->secret_end = secret_end;
    *handle = free - modules;
    return DONE;
}

/* The module of a handle that is in use. */
static struct module *used(uint8_t handle)
{
    return handle < HANDLES && modules[handle].state != FREE ? &modules[handle] : 0;
}

enum code module_write(uint8_t handle, uint16_t offset, const uint8_t *bytes, uint16_t count)
{
    struct module *module = used(handle);
    if (!module)
        return NO_HANDLE;
    if (module->state != RESERVED)
        return WRONG_STATE;
    uint16_t length = module->text_end - module->text_start;
    if ((offset | count) & 1 || offset > length || count > length - offset)
        return MALFORMED;
    uint16_t *to = (uint16_t *)(module->text_start + offset);
    const uint16_t *from = (const uint16_t *)bytes;
    for (; count; count -= 2)
        *to++ = *from++;
    return DONE;
}

enum code module_enable(uint8_t handle, uint16_t vendor, uint16_t room, uint16_t poll)
{
    struct module *module = used(handle);
    if (!module)
        return NO_HANDLE;
    if (module->state != RESERVED)
        return WRONG_STATE;
    if (room & 1 || room < RESULT_BYTES || room > RING_BYTES / 2)
        return MALFORMED;
    for (uint16_t *word = (uint16_t *)module->secret_start; word < (uint16_t *)module->secret_end; word++)
        *word = 0;
    module->id = enable(vendor, module->text_start, module->text_end, module->secret_start, module->secret_end);
    if (!module->id)
        return HARDWARE_REFUSED;
    module->state = ENABLED;
    module->vendor = vendor;
    module->room = room;
    module->poll = module->wait = poll;
    return DONE;
}

static uint16_t enter_module(const struct module *module, uint16_t op, const uint8_t *input, uint16_t bytes,
                             uint8_t *output)
{
    struct entry entry = { module->text_start, op, (uint16_t)input, bytes, (uint16_t)output, module->room };
    uint16_t count = enter(&entry);
    return count <= module->room ? count : 0;
}

enum code module_unload(uint8_t handle)
{
    struct module *module = used(handle);
    if (!module)
        return NO_HANDLE;
    if (module->state == DRIVER)
        return WRONG_STATE;
    if (module->state == ENABLED)
        enter_module(module, OP_DISABLE, 0, 0, 0);
    module->state = FREE;
    return DONE;
}

enum code module_call(uint8_t handle, uint32_t call, uint16_t op, const uint8_t *input, uint16_t bytes)
{
    struct module *module = used(handle);
    if (!module)
        return NO_HANDLE;
    if (module->state == RESERVED)
        return WRONG_STATE;
    if (op == OP_DISABLE || bytes > INPUT_BYTES)
        return MALFORMED;
    if (call <= last_call)
        return NOT_NEW;
    uint8_t *output = ring_room(module->room);
    if (!output)
        return NO_ROOM;
    last_call = call;
    uint16_t count = enter_module(module, op, input, bytes, output);
    if (!count)
        return NOTHING_RETURNED;
    ring_keep(call, handle, count);
    return DONE;
}

/* An empty input still has an address: somewhere outside every module. */
static uint16_t nothing;

/* Polls until the module has nothing more to say. */
static void poll(uint16_t handle)
{
    struct module *module = &modules[handle];
    for (;;) {
        uint8_t *output = ring_room(module->room);
        if (!output)
            return;
        uint16_t count = enter_module(module, OP_POLL, (const uint8_t *)&nothing, 0, output);
        if (count <= RESULT_BYTES)
            return;
        ring_keep(0, handle, count);
    }
}

/* Is it this module's turn? */
static int due(struct module *module, uint16_t passed)
{
    if (module->state < ENABLED || !module->poll)
        return 0;
    if (module->poll == ON_INTERRUPT)
        return 1;
    if (module->wait > passed) {
        module->wait -= passed;
        return 0;
    }
    module->wait = module->poll;
    return 1;
}

void modules_poll(uint16_t passed)
{
    for (uint16_t handle = 0; handle < HANDLES; handle++)
        if (due(&modules[handle], passed))
            poll(handle);
}

uint16_t modules_polled(void)
{
    for (uint16_t handle = 0; handle < HANDLES; handle++)
        if (modules[handle].state >= ENABLED && modules[handle].poll && modules[handle].poll != ON_INTERRUPT)
            return 1;
    return 0;
}
