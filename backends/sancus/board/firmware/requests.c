/* What the host may ask; docs/design/0008-serial-line.md. */
#include "board.h"

enum { KEY_BYTES_MOST = 16, ATTENTION_TICKS = TICKS_A_SECOND };

static uint16_t boot[4];
static uint16_t freshness, profile, key_bytes;
static uint32_t told; /* outputs below this number were asked for, or attention was drawn to them */
static uint16_t patience;

/* How long the hardware's tags are. */
static uint16_t measure_key_bytes(void)
{
    static uint16_t key[KEY_BYTES_MOST / 2], tag[KEY_BYTES_MOST / 2];
    tag[4] = tag[5] = 0;
    mac(key, key, 2, tag);
    return tag[4] | tag[5] ? 16 : 8;
}

void requests_start(void)
{
    uint16_t value[8];
    freshness = fresh(value);
    boots++;
    for (uint16_t word = 0; word < 3; word++)
        boot[word] = value[word];
    /* Without a device every value is the same, and the count tells the boots apart. */
    boot[3] = value[3] + boots;
    profile = freshness == 1 || freshness == 2;
    key_bytes = measure_key_bytes();
    told = 1;
}

static uint16_t get16(const uint8_t *bytes)
{
    return bytes[0] | (uint16_t)bytes[1] << 8;
}

static uint32_t get32(const uint8_t *bytes)
{
    return get16(bytes) | (uint32_t)get16(bytes + 2) << 16;
}

static void put8(struct response *to, uint8_t value)
{
    to->bytes[to->count++] = value;
}

static void put16(struct response *to, uint16_t value)
{
    put8(to, (uint8_t)value);
    put8(to, value >> 8);
}

static void put32(struct response *to, uint32_t value)
{
    put16(to, (uint16_t)value);
    put16(to, value >> 16);
}

/* As many bytes as there is room for. */
static void put_bytes(struct response *to, const uint8_t *from, uint16_t count)
{
    while (count-- && to->count < PAYLOAD_BYTES)
        put8(to, *from++);
}

static void hello(struct response *to)
{
    put16(to, LINE_VERSION);
    put16(to, FIRMWARE_VERSION);
    for (uint16_t word = 0; word < 4; word++)
        put16(to, boot[word]);
    put8(to, (uint8_t)profile);
    put8(to, (uint8_t)freshness);
    put8(to, (uint8_t)key_bytes);
    put8(to, (uint8_t)handles_free());
    put8(to, (uint8_t)slots_free());
    put8(to, (uint8_t)board.drivers);
    put16(to, board.text_start);
    put16(to, board.text_end);
    put16(to, board.secret_start);
    put16(to, board.secret_end);
    put32(to, last_call);
    put32(to, ring_oldest());
    put32(to, ring_next());
    put16(to, ring_free());
    put16(to, INPUT_BYTES);
}

static void list(struct response *to)
{
    for (uint16_t handle = 0; handle < HANDLES; handle++) {
        const struct module *module = &modules[handle];
        if (module->state == FREE)
            continue;
        put8(to, (uint8_t)handle);
        put8(to, (uint8_t)module->state);
        put16(to, module->id);
        put16(to, module->vendor);
        put16(to, module->text_start);
        put16(to, module->text_end);
        put16(to, module->secret_start);
        put16(to, module->secret_end);
        put16(to, module->room);
    }
}

static enum code reserve(const uint8_t *payload, struct response *to)
{
    uint16_t place[4];
    for (uint16_t word = 0; word < 4; word++)
        place[word] = get16(payload + 2 * word);
    uint8_t handle = 0;
    enum code code = module_reserve(place, &handle);
    if (code == DONE)
        put16(to, handle);
    return code;
}

static enum code call(const uint8_t *payload, uint16_t bytes, struct response *to)
{
    uint32_t number = ring_next();
    enum code code = module_call(payload[0], get32(payload + 2), get16(payload + 6), payload + 8, bytes - 8);
    if (code != DONE)
        return code;
    const struct output *output = ring_find(number);
    if (told == number)
        told = number + 1;
    put32(to, number);
    put16(to, output->bytes);
    put_bytes(to, (const uint8_t *)(output + 1), output->bytes);
    return DONE;
}

static enum code fetch(const uint8_t *payload, struct response *to)
{
    uint32_t number = get32(payload);
    const struct output *output = ring_find(number);
    if (!output)
        return NO_OUTPUT;
    uint16_t offset = output->number == number ? get16(payload + 4) : 0;
    if (offset > output->bytes)
        return MALFORMED;
    put32(to, output->number);
    put32(to, output->call);
    put16(to, output->handle);
    put16(to, output->bytes);
    put16(to, offset);
    put_bytes(to, (const uint8_t *)(output + 1) + offset, output->bytes - offset);
    if (told <= output->number)
        told = output->number + 1;
    return DONE;
}

static enum code enable_request(const uint8_t *payload, struct response *to)
{
    enum code code =
        module_enable(payload[0], get16(payload + 2), get16(payload + 4), get16(payload + 6));
    if (code == DONE)
        put16(to, modules[payload[0]].id);
    return code;
}

/* The least payload of each request. */
static const uint8_t least[] = { 0, 0, 0, 8, 4, 8, 2, 8, 6, 4, 0 };

static enum code execute(uint8_t kind, const uint8_t *payload, uint16_t bytes, struct response *to)
{
    if (kind < HELLO || kind > PING)
        return UNKNOWN_REQUEST;
    if (bytes < least[kind])
        return MALFORMED;
    switch (kind) {
    case HELLO:
        hello(to);
        return DONE;
    case LIST:
        list(to);
        return DONE;
    case RESERVE:
        return reserve(payload, to);
    case WRITE:
        return module_write(payload[0], get16(payload + 2), payload + 4, bytes - 4);
    case ENABLE:
        return enable_request(payload, to);
    case UNLOAD:
        return module_unload(payload[0]);
    case CALL:
        return call(payload, bytes, to);
    case FETCH:
        return fetch(payload, to);
    case RELEASE:
        ring_release(get32(payload));
        return DONE;
    default:
        put_bytes(to, payload, bytes);
        return DONE;
    }
}

void answer(uint8_t kind, const uint8_t *payload, uint16_t bytes, struct response *response)
{
    response->count = 2;
    response->bytes[1] = 0;
    response->bytes[0] = execute(kind, payload, bytes, response);
}

uint16_t attention_due(uint16_t passed)
{
    if (told < ring_oldest())
        told = ring_oldest();
    if (ring_next() > told) {
        told = ring_next();
        patience = ATTENTION_TICKS;
        return 1;
    }
    if (ring_oldest() == ring_next())
        return 0;
    if (patience > passed) {
        patience -= passed;
        return 0;
    }
    patience = ATTENTION_TICKS;
    return 1;
}
