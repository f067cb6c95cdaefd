/* The core of a module: the one way in, and an event's path through it. One translation unit with its parts, so that nothing
   but `vt_enter` and the wires is seen from outside. */
#include "core.h"
#include "table.h"
#include "wires.h"

static const vt_token no_token;

/* Wipes everything; nothing answers any more. */
static void halt(void) {
    wipe(&vt, sizeof vt);
    vt.started = vt.halted = true;
}

/* Derives a secret: the tag over a block, with an empty body. Without key it is the module's. */
static void derive(const void *key, const void *block, uint16_t bytes, void *secret) {
    if (!vt_hw_wrap(key, block, bytes, 0, 0, 0, secret)) halt();
}

/* Opens a sealed body, which its tag follows, into `vt_in`; nothing of what does not open stays there. */
static bool unseal(const uint8_t *key, const void *ad, uint16_t ad_bytes, const uint8_t *cipher, uint16_t bytes) {
    uint8_t tags[2 * TAG_BYTES] __attribute__((aligned(2)));
    if (bytes > VT_IN_BYTES) return false;
    copy(tags, cipher + bytes, TAG_BYTES);
    bool opened = bytes ? vt_hw_unwrap(key, ad, ad_bytes, cipher, bytes, vt_in, tags)
                        : vt_hw_wrap(key, ad, ad_bytes, 0, 0, 0, tags + TAG_BYTES) && same(tags, tags + TAG_BYTES, TAG_BYTES);
    if (!opened) wipe(vt_in, VT_IN_BYTES);
    return opened;
}

/* Begins the activation: its id, its secret, the author's initial state. */
static void start(void) {
    struct vt_activation_block block = {VT_LABEL_ACTIVATION, VT_PROTOCOL_VERSION, {0}};
    vt.started = true;
    vt.lifecycle = VT_LIFECYCLE_NEW;
    vt.freshness = vt_fresh((void *)block.activation);
    copy(vt.activation, block.activation, sizeof vt.activation);
    if (vt.freshness) derive(0, &block, sizeof block, vt.secret);
    else halt();
    vt_start();
}

/* Evidence over a challenge. Open to anybody, so it changes nothing but the pending session. */
static uint16_t attest(const uint8_t *challenge, uint16_t bytes) {
    struct vt_transcript block = {.version = VT_PROTOCOL_VERSION, .freshness = vt.freshness};
    if (bytes != sizeof block.challenge) return VT_STATUS_MALFORMED;
    if (!next(&vt.attest_number)) return VT_STATUS_REFUSED;
    copy(block.challenge, challenge, bytes);
    copy(block.activation, vt.activation, sizeof vt.activation);
    block.attest_number = vt.attest_number;
    for (uint16_t part = PROOF; part <= ID; part++) {
        block.label = VT_LABEL_EVIDENCE + part;
        derive(vt.secret, &block, sizeof block, vt.pending.derived[part]);
    }
    vt.pending.live = true;
    block.label = VT_LABEL_TRANSCRIPT;
    uint8_t *evidence = record(REPLY, sizeof block + TAG_BYTES);
    copy(evidence, &block, sizeof block);
    copy(evidence + sizeof block, vt.pending.derived[PROOF], TAG_BYTES);
    return VT_STATUS_ACCEPTED;
}

/* The module runs, and waits for nothing. */
static bool ready(void) { return vt.lifecycle == VT_LIFECYCLE_ACTIVE && !vt.request.row; }

/* A freezing module is frozen once nothing is open: it emits no more. */
static void rest_if_done(void) {
    if (vt.lifecycle != VT_LIFECYCLE_FREEZING || vt.request.row || holds_tokens(0)) return;
    vt.lifecycle = VT_LIFECYCLE_FROZEN;
    EACH_ROW(row) if (!accepts(row)) row->state &= (uint8_t)~OPEN;
    vt.change++;
}

/* Runs the author's function; what does not decode is counted. */
static bool run(uint16_t port, uint16_t bytes, vt_token token) {
    bool ran = vt_run(port, bytes, token);
    if (!ran) next(&vt.malformed);
    return ran;
}

/* Goes on after the open request: with the value of so many bytes in `vt_in`, if nobody refused it. */
static void go_on(bool refused, uint16_t refusal, uint16_t bytes) {
    struct row *row = vt.request.row;
    vt.request.row = 0;
    settle(row);
    if (refused || !run(row->port, bytes, no_token)) vt_run_refused(row->port, refused ? refusal : VT_NOT_DECODED);
}

#include "control.h"

/* Accepts exactly the next event of a row's epoch; then, and only then, the counter moves and the handler runs. `epochs` and
   `counters`: how far a frame is ahead of the row, modulo what the short form has of them. */
static uint16_t accept(struct row *row, struct vt_event_associated *ad, uint16_t epochs, uint32_t counters,
                       const uint8_t *body, uint16_t bytes) {
    bool request = ad->kind == VT_FRAME_KIND_REQUEST;
    struct waiting *token = vt.tokens;
    vt_token held = no_token;
    while (token < vt.tokens + VT_TOKENS && token->row) token++;
    if (row->role != (request ? VT_ROLE_HANDLER : VT_ROLE_RECEIVER) || epochs >= 32) return VT_STATUS_REFUSED;
    if (epochs) return VT_STATUS_BUSY;
    if (counters >= 0x80000000u) return VT_STATUS_DUPLICATE;
    if (!(row->state & OPEN)) return VT_STATUS_REFUSED;
    if (counters) return VT_STATUS_GAP;
    if (!ready() || (request && token == vt.tokens + VT_TOKENS)) return VT_STATUS_BUSY;
    if (!unseal(row->current.key, ad, sizeof *ad, body, bytes) || !next(&row->next)) return VT_STATUS_REFUSED;
    vt.late_entered[row->port] = false;
    if (request) {
        *token = (struct waiting){row, ad->epoch, token->generation + 1, ad->counter};
        held = (vt_token){token->generation, (uint16_t)(token - vt.tokens)};
    }
    if (!run(row->port, bytes, held) && request) vt_wire_answer(held, 1, 0, 0);
    promote(row);
    return VT_STATUS_ACCEPTED;
}

/* Accepts the reply to the open request. */
static uint16_t accept_reply(struct row *row, uint8_t epoch, uint32_t counter, const uint8_t *body, uint16_t bytes) {
    struct vt_event_associated ad;
    const struct waiting *open = &vt.request;
    uint16_t epochs = (epoch - (uint16_t)row->current.epoch) & 63;
    if (row->role != VT_ROLE_REQUESTER) return VT_STATUS_REFUSED;
    if (open->row != row || (epoch ^ open->epoch) & 63 || counter != open->counter.low)
        return epochs >= 32 || (!epochs && counter - row->next.low >= 0x80000000u) ? VT_STATUS_DUPLICATE : VT_STATUS_REFUSED;
    const uint8_t *key = reply_key(row, open->epoch);
    associate(&ad, row, VT_FRAME_KIND_REPLY, open->epoch, &open->counter);
    if (!key || !unseal(key, &ad, sizeof ad, body, bytes)) return VT_STATUS_REFUSED;
    uint16_t code = (uint16_t)(vt_in[0] | vt_in[1] << 8);
    go_on(code, code == 1 ? VT_NOT_DECODED : code - 2, bytes - 2);
    return VT_STATUS_ACCEPTED;
}

/* An event, request or reply in the short form: finds the row, completes the header by what the row expects, judges it. */
static uint16_t enter_event(const uint8_t *input, uint16_t bytes, vt_u64 *expected) {
    struct vt_event_associated ad;
    struct { uint8_t row, kind; uint16_t counter[2]; } front;
    uint32_t counter;
    if (bytes < sizeof front + 2 + TAG_BYTES || bytes & 1) return VT_STATUS_MALFORMED;
    copy(&front, input, sizeof front);
    copy(&counter, front.counter, sizeof counter);
    input += sizeof front;
    bytes -= sizeof front + TAG_BYTES;
    struct row *row = row_at(front.row);
    uint16_t kind = front.kind & 3, epoch = front.kind >> 2;
    if (!kind) return VT_STATUS_MALFORMED;
    if (!row || !row->role)
        return kind != VT_FRAME_KIND_REPLY && ((epoch - (uint16_t)vt.epoch_floor - 1) & 63) < 32 ? VT_STATUS_BUSY : VT_STATUS_REFUSED;
    if (kind == VT_FRAME_KIND_REPLY) return accept_reply(row, (uint8_t)epoch, counter, input, bytes);
    associate(&ad, row, kind, row->current.epoch, &row->next);
    uint16_t status = accept(row, &ad, (epoch - (uint16_t)ad.epoch) & 63, counter - ad.counter.low, input, bytes);
    if (status == VT_STATUS_GAP) *expected = row->next;
    return status;
}

/* A user entry, public and unauthenticated; or the host says that a deadline passed: once until the next accepted event. */
static uint16_t enter_port(bool late, const uint8_t *input, uint16_t bytes) {
    uint16_t index = VT_PORTS;
    if (bytes >= sizeof index) copy(&index, input, sizeof index);
    if (index >= VT_PORTS) return VT_STATUS_MALFORMED;
    const struct vt_port *port = &vt_ports[index];
    bytes -= sizeof index;
    if (late ? bytes || !port->late : port->kind != VT_PORT_KIND_ENTRY) return VT_STATUS_MALFORMED;
    if (!ready()) return VT_STATUS_BUSY;
    if (late && vt.late_entered[index]) return VT_STATUS_DUPLICATE;
    vt.late_entered[index] = late;
    copy(vt_in, input + sizeof index, bytes < VT_IN_BYTES ? bytes : VT_IN_BYTES);
    if (late) vt_run_late(index);
    return late || run(index, bytes, no_token) ? VT_STATUS_ACCEPTED : VT_STATUS_MALFORMED;
}

static uint16_t dispatch(uint16_t op, const uint8_t *input, uint16_t bytes, vt_u64 *value) {
    uint16_t room = table_room();
    if (op == VT_OP_ATTEST) room += VT_RECORD_HEADER_BYTES + VT_TRANSCRIPT_BYTES + TAG_BYTES;
    if (op == VT_OP_CONTROL) room += VT_RECORD_HEADER_BYTES + CONTROL_BYTES;
    if (op == VT_OP_ENTRY) room += VT_RESPONSE_ROOM;
    bool known = op == OP_POLL || op - 1u < VT_OP_LATE, fits = vt.room >= room;
    if (known && !fits) value->low = room + VT_RECORD_HEADER_BYTES + VT_ENTRY_RESULT_BYTES;
    if (!known || !fits) return known ? VT_STATUS_NO_ROOM : VT_STATUS_MALFORMED;
    if (op == VT_OP_ATTEST) return attest(input, bytes);
    if (op == VT_OP_OPEN) return VT_STATUS_REFUSED;
    if (op == VT_OP_CONTROL) return control(input, bytes);
    if (op == VT_OP_EVENT) return enter_event(input, bytes, value);
    if (op != OP_POLL) return enter_port(op == VT_OP_LATE, input, bytes);
    if (!ready()) return VT_STATUS_BUSY;
    vt_poll();
    return VT_STATUS_ACCEPTED;
}

/* Enters the module: what it leaves behind goes to `output`. Gives the length of that; 0 when not even a result fits, or
   an address is odd. */
uint16_t vt_enter(uint16_t op, const uint8_t *input, uint16_t bytes, uint8_t *output, uint16_t room) {
    struct { struct vt_record_header header; struct vt_entry_result result; } front = {{VT_ENTRY_RESULT_BYTES, RESULT, 0}, {0}};
    if (room < sizeof front || ((uintptr_t)input | (uintptr_t)output) & 1) return 0;
    vt.output = output + sizeof front;
    vt.room = room - (uint16_t)sizeof front;
    if (!vt.started) start();
    if (!vt.halted) front.result.status = dispatch(op, input, bytes, &front.result.value);
    rest_if_done();
    if (vt.overrun) halt();
    wipe(vt_in, VT_IN_BYTES);
    wipe(vt_out, VT_OUT_BYTES);
    bytes = vt.halted ? sizeof front : (uint16_t)(vt.output - output);
    if (vt.halted) front.result = (struct vt_entry_result){.status = VT_STATUS_HALTED};
    vt.room = 0;
    copy(output, &front, sizeof front);
    return bytes;
}
