/* Rows, epochs, keys and reply tokens. Part of core.c. */

static bool accepts(const struct row *row) { return row->role == VT_ROLE_RECEIVER || row->role == VT_ROLE_HANDLER; }

static struct keys *newest(struct row *row) { return row->state & DRAINS ? &row->pending : &row->current; }

/* Whether a request waits for this module's answer: in a row, or in any without one. */
static bool holds_tokens(const struct row *row) {
    EACH_TOKEN(token) if (token->row && (!row || token->row == row)) return true;
    return false;
}

static void forget_tokens(const struct row *row) { EACH_TOKEN(token) if (token->row == row) token->row = 0; }

/* Forgets an earlier epoch's reply key once nothing of it is open. */
static void settle(struct row *row) {
    EACH_TOKEN(token) if (token->row == row && token->epoch == row->earlier.epoch) return;
    row->state &= (uint8_t)~OWES;
    wipe(&row->earlier, sizeof row->earlier);
}

/* The reply key of an epoch that is in use or still has a request or token open; 0 for another. */
static const uint8_t *reply_key(const struct row *row, uint32_t epoch) {
    if (row->state & OWES && epoch == row->earlier.epoch) return row->earlier.reply;
    return epoch == row->current.epoch ? row->current.reply : 0;
}

/* Bytes that one handler may leave behind: replies to all tokens, and what goes out on each row. */
static uint16_t table_room(void) {
    uint16_t room = VT_REPLY_ROOM;
    EACH_ROW(row) if (row->role) room += vt_ports[row->port].room;
    return room;
}

static struct vt_epoch_end end_of(const struct row *row) { return (struct vt_epoch_end){row->current.epoch, row->next}; }

/* Starts an epoch. With `keep` the reply key of the one before stays for what is open in it. */
static void begin(struct row *row, const struct keys *keys, bool keep) {
    wipe(&row->earlier, sizeof row->earlier);
    if (keep) row->earlier = row->current;
    row->current = *keys;
    row->state = keep ? OPEN | OWES : OPEN;
    row->next = (vt_u64){0, 0};
    wipe(&row->pending, sizeof row->pending);
}

/* After an accepted event: if the epoch is drained, its successor takes over. */
static void promote(struct row *row) {
    if (!(row->state & DRAINS) || less(&row->next, &row->closing)) return;
    begin(row, &row->pending, holds_tokens(row));
    vt.change++;
}

/* Takes the next epoch: at once, or once the one in use is drained. */
static uint16_t advance(struct row *row, const struct vt_set_key *set, const struct keys *keys) {
    bool abandons = accepts(row) && set->prior == VT_PRIOR_EPOCH_ABANDON, must_end = accepts(row) && !abandons;
    bool drains = must_end && less(&row->next, &set->closing);
    bool states_end = set->prior == VT_PRIOR_EPOCH_CLOSE_AT && !less(&set->closing, &row->next);
    if (set->epoch <= newest(row)->epoch) return VT_CONTROL_RESULT_EPOCH_TOO_LOW;
    if (!abandons && row->state & (DRAINS | OWES)) return VT_CONTROL_RESULT_EPOCH_UNFINISHED;
    if (must_end && (!states_end || (drains && !(row->state & OPEN)))) return VT_CONTROL_RESULT_WRONG_PRIOR;
    row->ended = end_of(row);
    if (drains) {
        row->ended.counter = row->closing = set->closing;
        row->pending = *keys;
        row->state |= DRAINS;
    } else
        begin(row, keys, !abandons && (vt.request.row == row || holds_tokens(row)));
    return VT_CONTROL_RESULT_DONE;
}

static uint16_t add_row(struct row *row, const struct vt_set_key *set, const struct keys *keys) {
    /* The roles' kinds of ports: output, input, request, handler. */
    uint16_t kind = set->role <= VT_ROLE_RECEIVER ? 3 - set->role : set->role;
    if (set->port >= VT_PORTS || vt_ports[set->port].kind != kind) return VT_CONTROL_RESULT_NO_SUCH_PORT;
    const struct vt_port *port = &vt_ports[set->port];
    if (!same(port->types, set->payload_type, sizeof port->types)) return VT_CONTROL_RESULT_WRONG_TYPE;
    if (set->epoch <= vt.epoch_floor) return VT_CONTROL_RESULT_EPOCH_TOO_LOW;
    if (set->prior == VT_PRIOR_EPOCH_CLOSE_AT) return VT_CONTROL_RESULT_WRONG_PRIOR;
    uint16_t room = table_room();
    bool full = room > EMITTED_BYTES || port->room > EMITTED_BYTES - room;
    EACH_ROW(other) full |= set->role == VT_ROLE_REQUESTER && other->role && other->port == set->port;
    if (full) return VT_CONTROL_RESULT_NO_CAPACITY;
    *row = (struct row){.role = set->role, .port = set->port, .connection = set->connection, .application = set->application};
    begin(row, keys, false);
    return VT_CONTROL_RESULT_DONE;
}

/* The row that an owner names; its connection must be the one that he believes to be there. */
static uint16_t find(const struct vt_row_name *name, struct row **row) {
    if (!(*row = row_at(name->row))) return VT_CONTROL_RESULT_NO_SUCH_ROW;
    return (*row)->role && (*row)->connection != name->connection ? VT_CONTROL_RESULT_ROW_TAKEN : VT_CONTROL_RESULT_DONE;
}

/* Gives a row its next epoch's key. */
static uint16_t set_key(const struct vt_set_key *set, struct vt_epoch_end *ended) {
    struct row *row;
    struct keys keys = {.epoch = set->epoch};
    if (set->role - 1u > VT_ROLE_HANDLER - 1u || set->cipher - 1u > VT_CIPHER_ID_ASCON_128 - 1u
        || set->prior > VT_PRIOR_EPOCH_CLOSE_AT)
        return VT_CONTROL_RESULT_MALFORMED;
    if (vt.lifecycle == VT_LIFECYCLE_DISABLED) return VT_CONTROL_RESULT_WRONG_LIFECYCLE;
    if (set->cipher != VT_CIPHER_ID_SPONGENT_128) return VT_CONTROL_RESULT_NO_CIPHER;
    /* A set-key begins with the name of its row. */
    uint16_t result = find((const void *)set, &row);
    if (result) return result;
    bool taken = row->role && (row->role != set->role || row->port != set->port);
    EACH_ROW(other) taken |= VT_EXCLUSIVE && other->role && other->application != set->application;
    if (taken) return VT_CONTROL_RESULT_ROW_TAKEN;
    bool again = row->role && newest(row)->epoch == set->epoch && same(newest(row)->key, set->key, sizeof set->key);
    if (!again) {
        copy(keys.key, set->key, sizeof keys.key + sizeof keys.reply);
        result = row->role ? advance(row, set, &keys) : add_row(row, set, &keys);
        wipe(&keys, sizeof keys);
        if (!result && set->prior == VT_PRIOR_EPOCH_ABANDON) forget_tokens(row);
    }
    *ended = row->ended;
    return result;
}

/* Wipes a row and raises the epoch floor to what it knew. */
static void wipe_row(struct row *row) {
    if (row->role && newest(row)->epoch > vt.epoch_floor) vt.epoch_floor = newest(row)->epoch;
    forget_tokens(row);
    wipe(row, sizeof *row);
}

/* Ends a row's epoch without a next one, or frees the row. Doing it again changes nothing. */
static uint16_t end_row(const struct vt_row_name *name, struct vt_epoch_end *ended, bool removes) {
    struct row *row;
    uint16_t result = find(name, &row);
    if (removes && row && vt.request.row == row) return VT_CONTROL_RESULT_EPOCH_UNFINISHED;
    if (result || !row->role) return result || removes ? result : VT_CONTROL_RESULT_NO_SUCH_ROW;
    *ended = end_of(row);
    if (removes) wipe_row(row);
    row->state &= OWES;
    wipe(&row->pending, sizeof row->pending);
    return VT_CONTROL_RESULT_DONE;
}
