/* Outputs of modules, kept until the host releases them. An output lies in one piece: a module writes it in place. */
#include "board.h"

static struct {
    uint8_t bytes[RING_BYTES];
    uint16_t first; /* oldest output */
    uint16_t end;   /* where the next one goes */
    uint16_t wrap;  /* where the outputs before the wrap end, if end < first */
    uint16_t count;
    uint32_t next;
} ring __attribute__((aligned(2)));

void ring_start(void)
{
    ring.first = ring.end = ring.count = 0;
    ring.wrap = RING_BYTES;
    ring.next = 1;
}

static struct output *at(uint16_t offset)
{
    return (struct output *)(ring.bytes + offset);
}

static uint16_t size(const struct output *output)
{
    return sizeof *output + ((output->bytes + 1) & ~1);
}

/* The largest piece behind `end`. */
static uint16_t behind(void)
{
    if (ring.count && ring.end <= ring.first)
        return ring.first - ring.end;
    return RING_BYTES - ring.end;
}

uint16_t ring_free(void)
{
    uint16_t most = behind();
    if (ring.count && ring.end > ring.first && ring.first > most)
        most = ring.first;
    return most > sizeof(struct output) ? most - sizeof(struct output) : 0;
}

uint8_t *ring_room(uint16_t bytes)
{
    uint16_t whole = sizeof(struct output) + ((bytes + 1) & ~1);
    if (bytes > RING_BYTES / 2)
        return 0;
    if (!ring.count)
        ring.first = ring.end = 0;
    if (behind() < whole) {
        if (ring.end < ring.first || ring.first < whole || (ring.end == ring.first && ring.count))
            return 0;
        ring.wrap = ring.end;
        ring.end = 0;
    }
    return ring.bytes + ring.end + sizeof(struct output);
}

uint32_t ring_keep(uint32_t call, uint16_t handle, uint16_t bytes)
{
    struct output *output = at(ring.end);
    output->number = ring.next++;
    output->call = call;
    output->handle = handle;
    output->bytes = bytes;
    ring.end += size(output);
    ring.count++;
    return output->number;
}

/* The output behind another one. */
static uint16_t following(uint16_t offset)
{
    offset += size(at(offset));
    return offset == ring.wrap ? 0 : offset;
}

const struct output *ring_find(uint32_t number)
{
    uint16_t offset = ring.first;
    for (uint16_t left = ring.count; left; left--) {
        if (at(offset)->number >= number)
            return at(offset);
        offset = following(offset);
    }
    return 0;
}

void ring_release(uint32_t number)
{
    while (ring.count && at(ring.first)->number <= number) {
        uint16_t next = following(ring.first);
        if (next < ring.first)
            ring.wrap = RING_BYTES;
        ring.first = next;
        ring.count--;
    }
}

uint32_t ring_oldest(void)
{
    return ring.count ? at(ring.first)->number : ring.next;
}

uint32_t ring_next(void)
{
    return ring.next;
}
