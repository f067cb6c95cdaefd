/* What a handler does to the world, sealed and counted. Part of core.c. */

/* Adds a record to the output and gives the place of its body; 0 when it does not fit. */
static uint8_t *record(uint16_t kind, uint16_t bytes) {
    struct vt_record_header header = {bytes, kind, 0};
    if (vt.room < sizeof header || vt.room - sizeof header < bytes || (uintptr_t)vt.output & 1) return 0;
    uint8_t *body = vt.output + sizeof header;
    copy(vt.output, &header, sizeof header);
    vt.output = body + bytes;
    vt.room -= (uint16_t)(sizeof header + bytes);
    return body;
}

/* What is authenticated beside an event's body. */
static void associate(struct vt_event_associated *ad, const struct row *row, uint16_t kind, uint32_t epoch,
                      const vt_u64 *counter) {
    uint16_t direction = kind == VT_FRAME_KIND_REPLY ? VT_DIRECTION_BACKWARD : VT_DIRECTION_FORWARD;
    *ad = (struct vt_event_associated){VT_PROTOCOL_VERSION, kind, row->application, row->connection, epoch, *counter,
                                       direction, 0};
}

/* Writes a frame: header, the code (of a reply) and the payload padded to even length and sealed, tag. */
static bool put_frame(const uint8_t *key, const struct vt_event_associated *ad, uint16_t code, const uint8_t *payload,
                      uint16_t bytes) {
    struct vt_frame header = {ad->connection, ad->kind, ad->epoch, ad->counter};
    uint16_t front = ad->kind == VT_FRAME_KIND_REPLY ? sizeof code : 0, even = (front + bytes + 1) & 0xfffe;
    even = even ? even : 2;
    uint8_t *frame = record(FRAME, (uint16_t)(sizeof header + even + TAG_BYTES));
    if (frame) {
        copy(frame, &header, sizeof header);
        wipe(vt_out + even - 2, 2);
        copy(vt_out, &code, front);
        copy(vt_out + front, payload, bytes);
        frame += sizeof header;
    }
    vt.overrun |= !frame || !vt_hw_wrap(key, ad, sizeof *ad, vt_out, even, frame, frame + even);
    return !vt.overrun;
}

/* Seals a payload under the row's next counter. False when the row has no epoch, or the output no room. */
static bool emit_on(struct row *row, uint16_t kind, const uint8_t *payload, uint16_t bytes) {
    struct vt_event_associated ad;
    associate(&ad, row, kind, row->current.epoch, &row->next);
    if (row->state & OPEN && next(&row->next)) return put_frame(row->current.key, &ad, 0, payload, bytes);
    next(&vt.unconnected);
    return false;
}

void vt_wire_emit(uint16_t port, const uint8_t *payload, uint16_t bytes) {
    bool wired = false;
    EACH_ROW(row) {
        if (!row->role || row->port != port) continue;
        wired = true;
        emit_on(row, VT_FRAME_KIND_EVENT, payload, bytes);
    }
    if (!wired) next(&vt.unconnected);
}

bool vt_wire_request(uint16_t port, const uint8_t *payload, uint16_t bytes) {
    EACH_ROW(row) {
        if (vt.request.row || !row->role || row->port != port) continue;
        struct waiting request = {row, row->current.epoch, 0, row->next};
        if (emit_on(row, VT_FRAME_KIND_REQUEST, payload, bytes)) vt.request = request;
        return vt.request.row;
    }
    return false;
}

/* Answers a request under the key of the epoch in which it came, then forgets the key if nothing else waits for it. */
void vt_wire_answer(vt_token held, uint16_t code, const uint8_t *payload, uint16_t bytes) {
    struct vt_event_associated ad;
    if (held.slot >= VT_TOKENS) return;
    struct waiting *token = &vt.tokens[held.slot];
    struct row *row = token->row;
    if (!row || token->generation != held.generation) return;
    const uint8_t *key = reply_key(row, token->epoch);
    associate(&ad, row, VT_FRAME_KIND_REPLY, token->epoch, &token->counter);
    if (key) put_frame(key, &ad, code, payload, bytes);
    token->row = 0;
    settle(row);
}

void vt_wire_respond(const uint8_t *payload, uint16_t bytes) {
    uint8_t *body = record(REPLY, bytes);
    vt.overrun |= !body;
    if (body) copy(body, payload, bytes);
}
