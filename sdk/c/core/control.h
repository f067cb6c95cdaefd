/* What an owner can ask, under his session. Part of core.c. */

static bool named(const uint8_t *operation) { return same(vt.operation, operation, sizeof vt.operation); }

/* Runs the module to rest for one operation, or takes that back. */
static uint16_t freeze(const uint8_t *operation, bool thaw) {
    if (vt.lifecycle == VT_LIFECYCLE_NEW || vt.lifecycle == VT_LIFECYCLE_DISABLED) return VT_CONTROL_RESULT_WRONG_LIFECYCLE;
    if (!thaw && vt.lifecycle == VT_LIFECYCLE_ACTIVE) {
        copy(vt.operation, operation, sizeof vt.operation);
        vt.lifecycle = VT_LIFECYCLE_FREEZING;
    }
    if (!named(operation)) return VT_CONTROL_RESULT_WRONG_OPERATION;
    if (thaw) vt.lifecycle = VT_LIFECYCLE_ACTIVE;
    return VT_CONTROL_RESULT_DONE;
}

/* Makes a new module run: in its initial state, or with the whole state of the operation that it names. */
static uint16_t activate(const uint8_t *operation) {
    if (vt.lifecycle > VT_LIFECYCLE_ACTIVE) return VT_CONTROL_RESULT_WRONG_LIFECYCLE;
    if (!named(operation)) return VT_CONTROL_RESULT_WRONG_OPERATION;
    if (vt.lifecycle == VT_LIFECYCLE_NEW && vt.restored && vt.restored != VT_STATE_BYTES) return VT_CONTROL_RESULT_NO_STATE;
    vt.lifecycle = VT_LIFECYCLE_ACTIVE;
    return VT_CONTROL_RESULT_DONE;
}

#if VT_STATE_BYTES
#include "state.h"
#else
/* Nothing of this module moves. */
static void discard_state(void) { wipe(vt.operation, sizeof vt.operation); }
#endif

/* Ends the wait for a reply. If that wait is over already, nothing changes. */
static uint16_t abort_request(const struct vt_request_name *name) {
    struct waiting *open = &vt.request;
    if (open->row && open->row == row_at(name->row) && open->epoch == name->epoch && same_u64(&open->counter, &name->counter))
        go_on(true, VT_ABORTED, 0);
    return VT_CONTROL_RESULT_DONE;
}

/* The module's state from a row on: the owner's only trustworthy knowledge of progress. */
static uint16_t status(uint16_t first, uint16_t *bytes) {
    struct vt_status_head *head = (void *)vt_out;
    struct vt_row_status *place = (void *)(head + 1);
    *head = (struct vt_status_head){
        .last_counter = vt.last_change.counter, .malformed = vt.malformed, .unconnected = vt.unconnected,
        .lifecycle = vt.lifecycle, .last_kind = vt.last_change.kind, .last_result = vt.last_change.result,
        .change = vt.change, .epoch_floor = vt.epoch_floor, .next_row = 0xffff};
    copy(head->activation, vt.activation, sizeof head->activation);
    copy(head->operation, vt.operation, sizeof head->operation);
    copy(head->last_session, vt.last_session, sizeof head->last_session);
    for (uint16_t index = first; index < VT_ROWS && head->next_row == 0xffff; index++) {
        const struct row *row = &vt.rows[index];
        if (row->role && head->rows == (BODY_BYTES - sizeof *head) / sizeof *place) head->next_row = index;
        else if (row->role) {
            *place++ = (struct vt_row_status){index, row->connection, row->role, VT_CIPHER_ID_SPONGENT_128, row->state,
                                              row->current.epoch, row->pending.epoch, row->next,
                                              row->state & DRAINS ? row->closing : (vt_u64){0, 0}};
            head->rows++;
        }
    }
    *bytes = (uint16_t)((uint8_t *)place - vt_out);
    return VT_CONTROL_RESULT_DONE;
}

#if VT_EXCLUSIVE
#include "grant.h"
#endif

/* Length of each kind's fixed body, by its number. What may follow a chunk of state is checked where it is read. */
static const uint8_t body_bytes[] = {
    0, VT_SET_KEY_BYTES, VT_ROW_NAME_BYTES, VT_ROW_NAME_BYTES, 0, VT_OPERATION_NAME_BYTES, VT_OPERATION_NAME_BYTES,
    VT_SAVE_REQUEST_BYTES, VT_STATE_CHUNK_BYTES, VT_OPERATION_NAME_BYTES, VT_REQUEST_NAME_BYTES, VT_SERIAL_FLOOR_BYTES,
    VT_STATUS_REQUEST_BYTES, VT_CONFIRM_REQUEST_BYTES};

/* One case a request. A body that is not of its form changes nothing. */
static uint16_t execute(uint16_t kind, uint16_t bytes, struct outcome *outcome) {
    const void *body = vt_in;
    uint16_t fixed = body_bytes[kind];
    if (kind == VT_CONTROL_KIND_CONFIRM && !VT_EXCLUSIVE) return VT_CONTROL_RESULT_NO_SUCH_PORT;
    if (bytes < fixed || (bytes > fixed && kind != VT_CONTROL_KIND_RESTORE && kind != VT_CONTROL_KIND_DISABLE))
        return VT_CONTROL_RESULT_MALFORMED;
    if (kind <= VT_CONTROL_KIND_REMOVE) outcome->bytes = sizeof outcome->body;
    switch (kind) {
    case VT_CONTROL_KIND_SET_KEY: return set_key(body, &outcome->body);
    case VT_CONTROL_KIND_CLOSE_EPOCH: return end_row(body, &outcome->body, false);
    case VT_CONTROL_KIND_REMOVE: return end_row(body, &outcome->body, true);
    case VT_CONTROL_KIND_DISABLE:
        EACH_ROW(row) wipe_row(row);
        vt.change++;
        vt.request.row = 0;
        discard_state();
        vt.lifecycle = VT_LIFECYCLE_DISABLED;
        return VT_CONTROL_RESULT_DONE;
    case VT_CONTROL_KIND_FREEZE: return freeze(body, false);
    case VT_CONTROL_KIND_THAW: return freeze(body, true);
#if VT_STATE_BYTES
    case VT_CONTROL_KIND_SAVE: return save(body, &outcome->bytes);
    case VT_CONTROL_KIND_RESTORE: return restore(body, bytes - fixed);
#else
    case VT_CONTROL_KIND_SAVE: case VT_CONTROL_KIND_RESTORE: return VT_CONTROL_RESULT_NO_STATE;
#endif
    case VT_CONTROL_KIND_ACTIVATE: return activate(body);
    case VT_CONTROL_KIND_ABORT_REQUEST: return abort_request(body);
    case VT_CONTROL_KIND_STATUS: return status(*(const uint16_t *)body, &outcome->bytes);
#if VT_EXCLUSIVE
    case VT_CONTROL_KIND_CONFIRM: return confirm(body, &outcome->bytes);
#endif
    default: return VT_CONTROL_RESULT_DONE; /* Nobody delegates on a symmetric platform: `raise-serial` has no meaning. */
    }
}

/* Executes a new request or repeats the outcome of the last one, and seals the answer under a new number. */
static uint16_t answer(const struct vt_control_request *request, uint16_t bytes) {
    struct outcome outcome = {.counter = request->counter, .kind = request->kind};
    vt_u64 following = request->counter;
    bool reads = request->kind == VT_CONTROL_KIND_STATUS || request->kind == VT_CONTROL_KIND_SAVE
                 || (VT_EXCLUSIVE && request->kind == VT_CONTROL_KIND_CONFIRM);
    bool again = vt.last.kind && same_u64(&vt.last.counter, &request->counter);
    if (!next(&following) || (again && !reads && vt.last.kind != request->kind)) return VT_STATUS_REFUSED;
    if (again && !reads) outcome = vt.last;
    else outcome.result = execute(request->kind, bytes, &outcome);
    if (outcome.result) outcome.bytes = 0;
    vt.last = outcome;
    if (less(&vt.next_in, &following)) vt.next_in = following;
    if (!reads) {
        copy(vt_out, &outcome.body, sizeof outcome.body);
        copy(vt.last_session, vt.current.derived[ID], sizeof vt.last_session);
        vt.last_change = outcome;
        vt.change++;
    }
    struct vt_control_answer front = {
        .counter = vt.next_out, .request = outcome.counter, .kind = outcome.kind, .result = outcome.result};
    uint8_t *sealed = record(REPLY, sizeof front + outcome.bytes + TAG_BYTES), *body = sealed + sizeof front;
    if (!sealed || !next(&vt.next_out)) return VT_STATUS_REFUSED;
    copy(front.session, vt.current.derived[ID], sizeof front.session);
    copy(sealed, &front, sizeof front);
    return vt_hw_wrap(vt.current.derived[KEY_OUT], &front, sizeof front, vt_out, outcome.bytes, body, body + outcome.bytes)
               ? VT_STATUS_ACCEPTED : VT_STATUS_REFUSED;
}

/* A sealed request of the owner, opened under the session that sealed it. The first one of a new session ends the session
   before. */
static uint16_t control(const uint8_t *input, uint16_t bytes) {
    static const vt_u64 first;
    struct vt_control_request request;
    if (bytes < sizeof request + TAG_BYTES || bytes > CONTROL_BYTES || bytes & 1) return VT_STATUS_MALFORMED;
    copy(&request, input, sizeof request);
    bytes -= sizeof request + TAG_BYTES;
    if (request.kind - 1u >= VT_CONTROL_KIND_CONFIRM) return VT_STATUS_MALFORMED;
    bool current = vt.current.live && same(vt.current.derived[ID], request.session, sizeof request.session);
    const struct session *session = current ? &vt.current : &vt.pending;
    bool expected = same_u64(current ? &vt.next_in : &first, &request.counter);
    if (current && vt.last.kind) expected |= same_u64(&vt.last.counter, &request.counter);
    expected &= session->live && same(session->derived[ID], request.session, sizeof request.session);
    if (!expected || !unseal(session->derived[KEY_IN], &request, sizeof request, input + sizeof request, bytes))
        return VT_STATUS_REFUSED;
    if (!current) {
        vt.current = vt.pending;
        vt.last.kind = 0;
        vt.next_in = vt.next_out = first;
        wipe(&vt.pending, sizeof vt.pending);
    }
    return answer(&request, bytes);
}
