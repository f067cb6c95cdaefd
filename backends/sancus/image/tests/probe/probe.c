/* A module without the SDK's core: it shows what a module sees and does, for tests of its wall. */
#include <stdint.h>

uint16_t vt_hw_wrap(const void *key, const void *ad, uint16_t ad_bytes, const void *body, uint16_t body_bytes,
                    void *cipher, void *tag);
uint16_t vt_hw_unwrap(const void *key, const void *ad, uint16_t ad_bytes, const void *cipher, uint16_t cipher_bytes,
                      void *plain, const void *tag);
uint16_t vt_fresh(uint16_t value[8]);
_Noreturn void vt_halt(void);

enum { ECHO = 1, DERIVE, TELL, FRESH, HALT, COUNT, SEAL, DEEP, ARM, POLL = 0x101 };

/* As a module has: its secret, and something that it counts. */
static uint16_t secret[8], count, armed;

/* Deeper than any stack of a module. */
static uint16_t deep(uint16_t levels)
{
    volatile uint16_t here[16];
    here[levels & 15] = levels;
    return levels ? deep(levels - 1) + here[levels & 15] : 0;
}

static uint16_t copy(uint8_t *output, const void *from, uint16_t bytes)
{
    for (uint16_t index = 0; index < bytes; index++)
        output[index] = ((const uint8_t *)from)[index];
    return bytes;
}

/* Seals the input under the secret into the output, tag behind it, as the core does; opens what it sealed. */
static uint16_t seal(const uint8_t *input, uint16_t bytes, uint8_t *output)
{
    static uint16_t plain[16], cipher[16], tag[8];
    if (bytes > sizeof plain)
        return 0;
    copy((uint8_t *)plain, input, bytes);
    vt_hw_wrap(secret, "AD", 2, plain, bytes, cipher, tag);
    uint16_t good = vt_hw_unwrap(secret, "AD", 2, cipher, bytes, plain, tag);
    for (uint16_t index = 0; index < bytes; index++)
        good &= ((uint8_t *)plain)[index] == input[index];
    copy(output, cipher, bytes);
    copy(output + bytes, tag, sizeof tag);
    output[bytes + sizeof tag] = (uint8_t)good;
    return bytes + sizeof tag + 1;
}

uint16_t vt_enter(uint16_t op, const uint8_t *input, uint16_t bytes, uint8_t *output, uint16_t room)
{
    uint16_t value[9];
    if (room < 64)
        return 0;
    switch (op) {
    case ECHO:
        return copy(output, input, bytes);
    case DERIVE: /* the secret, from the module key; nobody is told */
        return vt_hw_wrap(0, input, bytes, 0, 0, 0, secret) ? copy(output, "ok", 2) : 0;
    case TELL: /* for comparison: what no module should do */
        return copy(output, secret, sizeof secret);
    case FRESH:
        value[0] = vt_fresh(value + 1);
        return copy(output, value, sizeof value);
    case HALT:
        vt_halt();
    case COUNT:
        count++;
        return copy(output, &count, sizeof count);
    case SEAL:
        return seal(input, bytes, output);
    case DEEP:
        return deep(bytes);
    case ARM: /* has something to say so many times when it is polled */
        armed = bytes;
        return copy(output, "ok", 2);
    case POLL:
        if (!armed)
            return copy(output, "only a result record", 20);
        armed--;
        return copy(output, "something that the host did not ask for", 40);
    default:
        return 0;
    }
}
