/* The loop: sleep; hear ENQ; receive one frame; answer it. */
#include "board.h"

enum {
    ENQ = 0x05,
    ACK = 0x06,
    NAK = 0x15,
    START = 0xA5,
    ATTENTION = 0x40,
    HEAD_BYTES = 4,
    FIRST_CRC = 0xFFFF,
};

#define TACTL (*(volatile uint16_t *)0x160)
#define TACCTL0 (*(volatile uint16_t *)0x162)
#define TACCR0 (*(volatile uint16_t *)0x172)

enum {
    TIMER_STOPPED = 0,
    TIMER_UP = 2 << 8 | 3 << 6 | 1 << 4 | 1 << 2, /* master clock / 8, up to TACCR0, cleared */
    TIMER_INTERRUPT = 1 << 4,
    COUNTS_A_TICK = 10000, /* 10 ms at 8 MHz / 8 */
};

static struct {
    uint8_t kind, sequence;
    uint16_t bytes;
    uint16_t crc;
    uint8_t payload[PAYLOAD_BYTES];
} request __attribute__((aligned(2)));
static struct response response;
static uint8_t answered_kind, answered_sequence;
static uint16_t answered_crc;
static uint16_t timer_runs;

static void send_counted(uint8_t byte, uint16_t *sum)
{
    send(byte);
    *sum = crc(*sum, byte);
}

static void send_frame(uint8_t kind, uint8_t sequence, const uint8_t *payload, uint16_t bytes)
{
    uint16_t sum = FIRST_CRC;
    send(START);
    send_counted(kind, &sum);
    send_counted(sequence, &sum);
    send_counted((uint8_t)bytes, &sum);
    send_counted(bytes >> 8, &sum);
    for (; bytes; bytes--)
        send_counted(*payload++, &sum);
    send((uint8_t)sum);
    send(sum >> 8);
}

/* The rest of a frame after its first byte; false if it is damaged or stops. */
static int receive_frame(void)
{
    uint8_t head[HEAD_BYTES];
    uint16_t sum = FIRST_CRC;
    for (uint16_t index = 0; index < HEAD_BYTES; index++) {
        int byte = receive();
        if (byte < 0)
            return 0;
        head[index] = (uint8_t)byte;
        sum = crc(sum, head[index]);
    }
    request.kind = head[0];
    request.sequence = head[1];
    request.bytes = head[2] | (uint16_t)head[3] << 8;
    if (request.bytes > PAYLOAD_BYTES)
        return 0;
    for (uint16_t index = 0; index < request.bytes; index++) {
        int byte = receive();
        if (byte < 0)
            return 0;
        request.payload[index] = (uint8_t)byte;
        sum = crc(sum, request.payload[index]);
    }
    int low = receive();
    int high = low < 0 ? low : receive();
    if (high < 0)
        return 0;
    request.crc = (uint16_t)low | (uint16_t)high << 8;
    return request.crc == sum;
}

/* Requests that change nothing are answered anew each time. */
static int reads_only(uint8_t kind)
{
    return kind == HELLO || kind == LIST || kind == FETCH || kind == PING;
}

/* After ENQ: listens to nothing but one frame. */
static void serve(void)
{
    int byte = ENQ;
    do {
        if (byte == ENQ)
            send(ACK);
        byte = receive();
    } while (byte >= 0 && byte != START);
    if (byte < 0 || !receive_frame()) {
        send(NAK);
        return;
    }
    if (reads_only(request.kind) || request.kind != answered_kind || request.sequence != answered_sequence || request.crc != answered_crc) {
        answer(request.kind, request.payload, request.bytes, &response);
        answered_kind = request.kind;
        answered_sequence = request.sequence;
        answered_crc = request.crc;
    }
    send_frame(request.kind | 0x80, request.sequence, response.bytes, response.count);
}

/* The timer runs only while somebody waits for it, so that an idle board sleeps. */
static void run_timer(uint16_t wanted)
{
    if (wanted == timer_runs)
        return;
    timer_runs = wanted;
    TACCR0 = COUNTS_A_TICK - 1;
    TACCTL0 = wanted ? TIMER_INTERRUPT : 0;
    TACTL = wanted ? TIMER_UP : TIMER_STOPPED;
}

static uint16_t ticks_passed(void)
{
    uint16_t passed = ticks;
    ticks = 0;
    return passed;
}

static void poll(void)
{
    uint16_t passed = ticks_passed();
    modules_poll(passed);
    if (attention_due(passed))
        send_frame(ATTENTION, 0, 0, 0);
    run_timer(modules_polled() || ring_oldest() != ring_next());
}

int main(void)
{
    ring_start();
    modules_start();
    serial_start();
    requests_start();
    answered_kind = 0;
    ticks = timer_runs = 0;
    print("Veritee board\r\n");
    for (;;) {
        int byte = received();
        if (byte == ENQ)
            serve();
        else if (byte < 0) {
            poll();
            sleep();
        }
    }
}
