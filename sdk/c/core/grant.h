/* What drivers that serve one application prove. Part of control.h. */

/* A driver's proof that it gave a row to one application. */
static uint16_t confirm(const struct vt_confirm_request *asked, uint16_t *bytes) {
    struct vt_granted_block block = {.label = VT_LABEL_GRANTED, .version = VT_PROTOCOL_VERSION, .device = asked->device};
    struct row *row = row_at(asked->row);
    if (!row || !row->role) return VT_CONTROL_RESULT_NO_SUCH_ROW;
    copy(block.application, asked->application, sizeof block.application);
    copy(block.activation, vt.activation, sizeof block.activation);
    block.epoch = newest(row)->epoch;
    derive(newest(row)->key, &block, sizeof block, vt_out);
    *bytes = TAG_BYTES;
    return VT_CONTROL_RESULT_DONE;
}
