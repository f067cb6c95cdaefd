/* The probe in C: the same ports and rules as the one in Rust, in the same order. */
#include <veritee.h>

VT_MODULE(rows = 12, tokens = 2);
VT_STRUCT(Number, { uint32_t value; });
VT_STATE(Number, total);

/* A request of `relay` that waits for what comes back. */
static bool holds;
static vt_token held;

VT_REQUEST(ask, Number, Number);
VT_OUTPUT(sum, Number, emits = 4);

static void add_and_emit(uint32_t value) {
    total.value += value;
    emit_sum(total);
}

static void emit_failure(void) {
    emit_sum((Number){0xfffffff0});
}

VT_INPUT(add, Number, number) {
    add_and_emit(number->value);
}

VT_LATE(add) {
    emit_sum((Number){0xfffffffe});
}

/* Answers twice the number at once; refuses 13. */
VT_HANDLER(twice, Number, asked, Number, answer) {
    if (asked->value == 13)
        return VT_REFUSED(7);
    answer->value = asked->value * 2;
    return VT_ANSWERED;
}

/* Asks on `ask` and answers what comes back, plus one. */
VT_HANDLER_LATER(relay, Number, asked, Number, token) {
    holds = request_ask(*asked);
    held = token;
    if (!holds)
        vt_refuse(token, 1);
}

VT_REPLY(ask, answer, refusal) {
    (void)refusal;
    if (holds && answer)
        answer_relay(held, (Number){answer->value + 1});
    else if (holds)
        vt_refuse(held, 2);
    else if (answer)
        add_and_emit(answer->value);
    else
        emit_failure();
    holds = false;
}

/* Asks on `ask`; the reply is added to the sum. */
VT_ENTRY(public, start, Number, number) {
    if (!request_ask(*number))
        emit_failure();
}

/* Emits the sum as often as its argument says, and responds with it. */
VT_ENTRY(public, burst, Number, times, Number, response) {
    for (uint32_t emitted = 0; emitted < times->value; emitted++)
        emit_sum(total);
    *response = total;
}
