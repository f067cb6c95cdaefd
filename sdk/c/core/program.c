/* From the core's call to the author's function, and from there to the platform's wires. */
#include "program.h"

/* A number in a payload, which may lie at any address. */
static uint16_t number_at(const uint8_t *place) { return (uint16_t)(place[0] | place[1] << 8); }

/* Length of a payload in memory. A byte string that claims to be longer than it can be is cut. */
static uint16_t length(uint16_t bytes, uint16_t trailing, const uint8_t *payload) {
    if (trailing == VT_FIXED) return bytes;
    uint16_t most = bytes - trailing - 2, own = number_at(payload + trailing);
    return trailing + 2 + (own < most ? own : most);
}

/* Whether bytes are exactly one payload, or one with the zero padding of an event's body (even, at least 2). */
static bool decodes(uint16_t most, uint16_t trailing, const uint8_t *payload, uint16_t bytes) {
    uint16_t whole = most;
    if (trailing != VT_FIXED) {
        if (bytes < trailing + 2 || number_at(payload + trailing) > most - trailing - 2) return false;
        whole = trailing + 2 + number_at(payload + trailing);
    }
    uint16_t padded = whole ? whole + (whole & 1) : 2;
    if (bytes != whole && bytes != padded) return false;
    for (uint16_t at = whole; at < bytes; at++) if (payload[at]) return false;
    return true;
}

bool vt_run(uint16_t index, uint16_t bytes, vt_token token) {
    const struct vt_port *port = &vt_ports[index];
    /* What enters on a request's port is its reply, behind the reply's code. */
    bool reply = port->kind == VT_PORT_KIND_REQUEST;
    const uint8_t *payload = reply ? vt_in + 2 : vt_in;
    uint16_t most = reply ? port->reply_bytes : port->payload_bytes;
    uint16_t trailing = reply ? port->reply_trailing : port->payload_trailing;
    if (!decodes(most, trailing, payload, bytes) || (port->means && !port->means(payload))) return false;
    port->run(&(struct vt_call){.payload = payload, .token = token});
    return true;
}

void vt_run_refused(uint16_t index, uint16_t refusal) { vt_ports[index].run(&(struct vt_call){.refusal = refusal}); }

void vt_run_late(uint16_t index) { vt_ports[index].late(); }

/* A payload or reply of a port, and its length. */
#define PAYLOAD payload, length(vt_ports[index].payload_bytes, vt_ports[index].payload_trailing, payload)
#define ANSWER payload, length(vt_ports[index].reply_bytes, vt_ports[index].reply_trailing, payload)

void vt_emit(uint16_t index, const void *payload) { vt_wire_emit(index, PAYLOAD); }

bool vt_request(uint16_t index, const void *payload) { return vt_wire_request(index, PAYLOAD); }

void vt_answer(uint16_t index, vt_token token, const void *payload) { vt_wire_answer(token, 0, ANSWER); }

void vt_respond(uint16_t index, const void *payload) { vt_wire_respond(ANSWER); }

void vt_refuse(vt_token token, uint16_t code) { vt_wire_answer(token, code < 0xfff0 ? code + 2 : 0xfff2, 0, 0); }
