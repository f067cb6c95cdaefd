/* State that an update moves: only in modules that declare some. Part of control.h. */

/* A half-restored state becomes the initial one again. */
static void discard_state(void) {
    wipe(vt_state, VT_STATE_BYTES);
    wipe(vt.operation, sizeof vt.operation);
    vt.restored = 0;
    vt_start();
}

/* Takes a chunk of state, in order or again, to where the state lies: nothing runs before it is whole. */
static uint16_t restore(const struct vt_state_chunk *chunk, uint16_t bytes) {
    uint16_t offset = (uint16_t)chunk->offset;
    if (vt.lifecycle != VT_LIFECYCLE_NEW) return VT_CONTROL_RESULT_WRONG_LIFECYCLE;
    if (vt.restored && !named(chunk->operation)) return VT_CONTROL_RESULT_WRONG_OPERATION;
    if (!bytes || chunk->total != VT_STATE_BYTES || chunk->length != bytes || chunk->offset > vt.restored
        || bytes > VT_STATE_BYTES - offset)
        return VT_CONTROL_RESULT_NO_STATE;
    copy((uint8_t *)vt_state + offset, chunk + 1, bytes);
    copy(vt.operation, chunk->operation, sizeof vt.operation);
    if (offset + bytes > vt.restored) vt.restored = offset + bytes;
    if (vt.restored != VT_STATE_BYTES || vt_state_means(vt_state)) return VT_CONTROL_RESULT_DONE;
    discard_state();
    return VT_CONTROL_RESULT_NO_STATE;
}

/* Reads a chunk of the frozen module's state. */
static uint16_t save(const struct vt_save_request *wanted, uint16_t *bytes) {
    struct vt_state_chunk *head = (void *)vt_out;
    uint16_t offset = (uint16_t)wanted->offset, length = VT_STATE_BYTES - offset, most = BODY_BYTES - sizeof *head;
    if (vt.lifecycle != VT_LIFECYCLE_FROZEN) return VT_CONTROL_RESULT_WRONG_LIFECYCLE;
    if (!named(wanted->operation)) return VT_CONTROL_RESULT_WRONG_OPERATION;
    if (wanted->offset >= VT_STATE_BYTES || offset & 1) return VT_CONTROL_RESULT_NO_STATE;
    if (length > most) length = most;
    copy(head, wanted, sizeof *wanted);
    head->total = VT_STATE_BYTES;
    head->length = length;
    copy(head + 1, (uint8_t *)vt_state + offset, length);
    *bytes = sizeof *head + length;
    return VT_CONTROL_RESULT_DONE;
}
