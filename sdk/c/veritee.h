/* Modules in C, for every platform.

   A module is a folder of C files. Payload types, ports and capacities are declared once, by the macros below; everything
   else (port table, checks of what enters, lengths) is made of these declarations. State lies in plain static variables,
   which begin as zero; what must begin otherwise is set in VT_START. Handlers run to completion, one at a time.

     VT_STRUCT(Celsius, { int16_t tenths; });                 a payload type: fixed layout, little-endian, no padding
     VT_ENUM(Switch, uint8_t, { Switch_Off = 0, Switch_On = 1 });
     VT_OUTPUT(heat, Switch);                                 emit_heat(Switch_On) emits; at most one in a handler
     VT_OUTPUT(log, Line, emits = 3);                         ... or three
     VT_INPUT(temperature, Celsius, now) { now->tenths }      runs for each accepted event, once, in order
     VT_LATE(temperature) { }                                 the host says that a deadline of this input passed
     VT_REQUEST(ask, Question, Answer);                       request_ask(question); the handler must end then
     VT_REPLY(ask, answer, refusal) { }                       goes on after it: answer is 0 when there is none
     VT_HANDLER(state, Question, question, Answer, answer) { return VT_ANSWERED; }      or return VT_REFUSED(7);
     VT_HANDLER_LATER(relay, Question, question, Answer, token) { }       answer_relay(token, value), vt_refuse(token, 7)
     VT_ENTRY(public, press) { }                              anybody may call it; also (public, name, Arguments, arguments)
                                                              and (public, name, Arguments, arguments, Response, response)
     VT_STATE(Memory, memory);                                the state that an update moves, as a variable
     VT_START() { }                                           before the first event of an activation
     VT_POLL() { }  VT_INTERRUPT(number) { }                  drivers on boards
     VT_MODULE(rows = 8, tokens = 2, exclusive);              capacities, when the defaults do not fit

   Names and layouts of types are compared with those of the other end, in whatever language it is written. A constant of
   an enum may carry its type's name in front (Switch_On); what is compared is the rest. Wide fields lie at even offsets
   (`uint8_t reserved;` fills gaps). The last field of a struct may be a byte string: `VT_BYTES(64) text;`. */
#ifndef VERITEE_H
#define VERITEE_H

#include <stdbool.h>
#include <stdint.h>

/* The right to answer one request, once. */
typedef struct {
    uint32_t generation;
    uint16_t slot;
} vt_token;

/* What a handler answers: its value, or a refusal with a code from 0 to 0xfff0. */
#define VT_ANSWERED 0u
#define VT_REFUSED(code) ((uint16_t)((code) + 1u))

/* What a reply handler is told when there is no answer: the other handler's code, or one of these. */
#define VT_NOT_DECODED 0xfffeu
#define VT_ABORTED 0xffffu

/* Why a port's function runs. */
struct vt_call {
    const void *payload;
    uint16_t refusal;
    vt_token token;
};

/* What the macros call. */
void vt_emit(uint16_t port, const void *payload);
bool vt_request(uint16_t port, const void *payload);
void vt_answer(uint16_t port, vt_token token, const void *payload);
void vt_respond(uint16_t port, const void *payload);

/* Refuses a request later than in its handler. */
void vt_refuse(vt_token token, uint16_t code);

#ifdef VERITEE_DECLARE

/* The compiler's preprocessor hands the declarations to the reader of `veritee-c-declare`. */
#define VT_DECLARED(kind, ...) veritee_declared(__FILE__, __LINE__, kind, __VA_ARGS__)
#define VT_STRUCT(...) VT_DECLARED(struct, __VA_ARGS__)
#define VT_ENUM(...) VT_DECLARED(enum, __VA_ARGS__)
#define VT_BYTES(...) veritee_bytes[__VA_ARGS__]
#define VT_OUTPUT(...) VT_DECLARED(output, __VA_ARGS__)
#define VT_INPUT(...) VT_DECLARED(input, __VA_ARGS__)
#define VT_LATE(...) VT_DECLARED(late, __VA_ARGS__)
#define VT_REQUEST(...) VT_DECLARED(request, __VA_ARGS__)
#define VT_REPLY(...) VT_DECLARED(reply, __VA_ARGS__)
#define VT_HANDLER(...) VT_DECLARED(handler, __VA_ARGS__)
#define VT_HANDLER_LATER(...) VT_DECLARED(handler_later, __VA_ARGS__)
#define VT_ENTRY(...) VT_DECLARED(entry, __VA_ARGS__)
#define VT_STATE(...) VT_DECLARED(state, __VA_ARGS__)
#define VT_START(...) VT_DECLARED(start, __VA_ARGS__)
#define VT_POLL(...) VT_DECLARED(poll, __VA_ARGS__)
#define VT_INTERRUPT(...) VT_DECLARED(interrupt, __VA_ARGS__)
#define VT_MODULE(...) VT_DECLARED(module, __VA_ARGS__)

#else

#define VT_INLINE static inline __attribute__((always_inline, unused))

/* At most two bytes of alignment everywhere, as on a 16-bit part. */
#define VT_STRUCT(name, ...) \
    _Pragma("pack(push, 2)") typedef struct name __VA_ARGS__ name; _Pragma("pack(pop)") struct name
#define VT_ENUM(name, number, ...) typedef number name; enum __VA_ARGS__
#define VT_BYTES(most) struct { uint16_t length; uint8_t bytes[most]; }

#define VT_OUTPUT(name, type, ...) \
    extern const uint16_t vt_port_##name; \
    VT_INLINE void emit_##name(type event) { vt_emit(vt_port_##name, &event); } \
    struct vt_call

#define VT_INPUT(name, type, event) \
    static void vt_do_##name(const type *event); \
    void vt_run_##name(const struct vt_call *call) { vt_do_##name(call->payload); } \
    static void vt_do_##name(const type *event)

#define VT_LATE(name) void vt_late_##name(void)

#define VT_REQUEST(name, type, answer) \
    extern const uint16_t vt_port_##name; \
    typedef answer vt_answer_##name; \
    VT_INLINE bool request_##name(type question) { return vt_request(vt_port_##name, &question); } \
    struct vt_call

#define VT_REPLY(name, answer, refusal) \
    static void vt_do_##name(const vt_answer_##name *answer, uint16_t refusal); \
    void vt_run_##name(const struct vt_call *call) { vt_do_##name(call->payload, call->refusal); } \
    static void vt_do_##name(const vt_answer_##name *answer, uint16_t refusal)

#define VT_HANDLER(name, type, question, answered, answer) \
    extern const uint16_t vt_port_##name; \
    static uint16_t vt_do_##name(const type *question, answered *answer); \
    void vt_run_##name(const struct vt_call *call) { \
        answered value = {0}; \
        uint16_t code = vt_do_##name(call->payload, &value); \
        if (code == VT_ANSWERED) \
            vt_answer(vt_port_##name, call->token, &value); \
        else \
            vt_refuse(call->token, code - 1); \
    } \
    static uint16_t vt_do_##name(const type *question, answered *answer)

#define VT_HANDLER_LATER(name, type, question, answered, token) \
    extern const uint16_t vt_port_##name; \
    VT_INLINE void answer_##name(vt_token held, answered value) { vt_answer(vt_port_##name, held, &value); } \
    static void vt_do_##name(const type *question, vt_token token); \
    void vt_run_##name(const struct vt_call *call) { vt_do_##name(call->payload, call->token); } \
    static void vt_do_##name(const type *question, vt_token token)

#define VT_ENTRY(...) VT_SIXTH(__VA_ARGS__, VT_ENTRY_6, VT_ENTRY_FORM, VT_ENTRY_4, VT_ENTRY_FORM, VT_ENTRY_2, 0)(__VA_ARGS__)
#define VT_SIXTH(a, b, c, d, e, f, chosen, ...) chosen
#define VT_ENTRY_2(public, name) \
    static void vt_do_##name(void); \
    void vt_run_##name(const struct vt_call *call) { (void)call; vt_do_##name(); } \
    static void vt_do_##name(void)
#define VT_ENTRY_4(public, name, type, arguments) VT_INPUT(name, type, arguments)
#define VT_ENTRY_6(public, name, type, arguments, responded, response) \
    extern const uint16_t vt_port_##name; \
    static void vt_do_##name(const type *arguments, responded *response); \
    void vt_run_##name(const struct vt_call *call) { \
        responded value = {0}; \
        vt_do_##name(call->payload, &value); \
        vt_respond(vt_port_##name, &value); \
    } \
    static void vt_do_##name(const type *arguments, responded *response)

#define VT_STATE(type, name) static type name; void *const vt_state = &name
#define VT_START() void vt_start(void)
#define VT_POLL() void vt_poll(void)
#define VT_INTERRUPT(number) void vt_interrupt(uint16_t number)
#define VT_MODULE(...) struct vt_call

#endif
#endif
