/* The state of a module's core on a symmetric platform. Part of core.c. */
#include "platform.h"
#include "program.h"
/* Capacities, generated of the author's declarations. */
#include "veritee_declared.h"

enum { TAG_BYTES = 16, CONTROL_BYTES = 224, BODY_BYTES = CONTROL_BYTES - VT_CONTROL_ANSWER_BYTES - TAG_BYTES };
/* Most bytes that one entry may emit, beside its result and its reply; an operation beyond the wire's. */
enum { REPLY_BYTES = CONTROL_BYTES > VT_RESPONSE_ROOM ? CONTROL_BYTES : VT_RESPONSE_ROOM, OP_POLL = 0x101 };
enum { EMITTED_BYTES = VT_OUTPUT_BYTES - 2 * VT_RECORD_HEADER_BYTES - VT_ENTRY_RESULT_BYTES - REPLY_BYTES };
/* Kinds of records, and the bits of a row's state: it has an open epoch, drains it, owes replies of the one before. */
enum { RESULT = 1, REPLY = 2, FRAME = 3, OPEN = 1, DRAINS = 2, OWES = 4 };

/* What a set-key brings. */
struct keys { uint32_t epoch; uint8_t key[16], reply[16]; };
/* This module's end of a connection; role 0: free. `pending` waits for the drain of `current`, which ends at `closing`;
   `earlier` stays while a request or a token of it is open; `ended` is what the last set-key ended, for its retry. */
struct row {
    uint8_t role, state;
    uint16_t port, connection, application;
    struct keys current, pending, earlier;
    vt_u64 next, closing;
    struct vt_epoch_end ended;
};
/* A request that waits for this module's answer, or on whose answer it waits. Without row there is none. */
struct waiting { struct row *row; uint32_t epoch, generation; vt_u64 counter; };
/* What is derived for a session, in the order of the labels, and whether it was. */
enum { PROOF, KEY_IN, KEY_OUT, ID };
struct session { uint8_t derived[4][16]; uint16_t live; }; /* An even length: the processor knows even addresses only. */
/* What a control request came to. Kind 0: there was none. */
struct outcome { vt_u64 counter; uint16_t kind, result, bytes; struct vt_epoch_end body; };

static struct {
    /* `overrun`: a handler emitted more than it declared. `late_entered`: since the last accepted event of a port. */
    bool started, halted, overrun, late_entered[VT_PORTS];
    uint16_t lifecycle, freshness, change, restored, room;
    uint8_t activation[16], secret[16], operation[16], last_session[16], *output;
    vt_u64 attest_number, malformed, unconnected, next_in, next_out;
    uint32_t epoch_floor;
    struct session pending, current;
    struct outcome last, last_change;
    struct waiting request, tokens[VT_TOKENS];
    struct row rows[VT_ROWS];
} vt;
/* Plaintext on its way out, for the processor's instruction; what enters lies in `vt_in`. */
static uint8_t vt_out[VT_OUT_BYTES] __attribute__((aligned(2)));

#define EACH_ROW(name) for (struct row *name = vt.rows; name < vt.rows + VT_ROWS; name++)
#define EACH_TOKEN(name) for (struct waiting *name = vt.tokens; name < vt.tokens + VT_TOKENS; name++)

static void copy(void *to, const void *from, uint16_t bytes) {
    for (uint8_t *place = to; bytes--; from = (const uint8_t *)from + 1) *place++ = *(const uint8_t *)from;
}

static void wipe(void *start, uint16_t bytes) { for (volatile uint8_t *place = start; bytes--;) *place++ = 0; }

/* Compares in constant time. */
static bool same(const void *left, const void *right, uint16_t bytes) {
    uint8_t differs = 0;
    for (uint16_t at = 0; at < bytes; at++) differs |= ((const uint8_t *)left)[at] ^ ((const uint8_t *)right)[at];
    return !differs;
}

static bool same_u64(const vt_u64 *left, const vt_u64 *right) { return same(left, right, sizeof *left); }

static bool less(const vt_u64 *a, const vt_u64 *b) { return a->high == b->high ? a->low < b->low : a->high < b->high; }

/* Adds one; false at the end of all counters, where nothing changes. */
static bool next(vt_u64 *counter) {
    if (!~(counter->low & counter->high)) return false;
    if (!++counter->low) counter->high++;
    return true;
}

/* The row with this index; 0 beyond the table. */
static struct row *row_at(uint16_t index) { return index < VT_ROWS ? &vt.rows[index] : 0; }
