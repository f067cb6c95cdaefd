/* From the core's call to the author's function: the same on every platform. */
#pragma once
#include "../veritee.h"
#include "../veritee_wire.h"

/* Offset of a payload's trailing byte string when it has none. */
#define VT_FIXED 0xffffu

/* One port: generated of the author's declarations. */
struct vt_port {
    uint16_t kind;
    /* Bytes of output that one handler may leave on one connection of it. */
    uint16_t room;
    /* Longest payload and reply in bytes, and where the length of a trailing byte string lies in each. */
    uint16_t payload_bytes, payload_trailing, reply_bytes, reply_trailing;
    /* Types of payload and reply. */
    uint8_t types[16];
    void (*run)(const struct vt_call *call);
    void (*late)(void);
    /* Whether each bool and each enum of what enters has a meaning; 0 when every value has one. */
    bool (*means)(const uint8_t *payload);
};

/* Defined by the generated source. */
extern const struct vt_port vt_ports[];
extern uint8_t vt_in[];
extern void *const vt_state;
bool vt_state_means(const uint8_t *state);

/* Defined by the author or, where he did not, by the generated source. */
void vt_start(void);
void vt_poll(void);
void vt_interrupt(uint16_t number);

/* Runs a port's function for a payload in `vt_in`; false when it does not decode: nothing has happened then. */
bool vt_run(uint16_t port, uint16_t bytes, vt_token token);
/* Runs the function behind a request that has no answer. */
void vt_run_refused(uint16_t port, uint16_t refusal);
/* Runs the function behind a deadline; the port has one. */
void vt_run_late(uint16_t port);

/* What the platform does with what a handler wants. The length of a payload is known already. */
void vt_wire_emit(uint16_t port, const uint8_t *payload, uint16_t bytes);
bool vt_wire_request(uint16_t port, const uint8_t *payload, uint16_t bytes);
/* `code`: 0 for a value, else the refusal's own code and 2. */
void vt_wire_answer(vt_token token, uint16_t code, const uint8_t *payload, uint16_t bytes);
void vt_wire_respond(const uint8_t *payload, uint16_t bytes);
