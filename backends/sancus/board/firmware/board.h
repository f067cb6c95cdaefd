/* The firmware of a board: untrusted, small, allocator-free. It moves bytes between the serial line and modules; see
 * docs/design/0008-serial-line.md. It runs with interrupts masked and opens them only while it sleeps. */
#ifndef VERITEE_BOARD_H
#define VERITEE_BOARD_H

#include <stdint.h>

enum {
    FIRMWARE_VERSION = 1,
    LINE_VERSION = 1,
    PAYLOAD_BYTES = 640,
    INPUT_BYTES = 512,
    RING_BYTES = 4608, /* twice the most that the core in a module asks for, so that it finds room when the ring is empty */
    RESULT_BYTES = 20, /* a bare result record: the least that an output needs */
    MODULES = 8,       /* beside the drivers */
    HANDLES = 16,
    TICK_MS = 10,
    TICKS_A_SECOND = 100,
};

/* Kinds of requests. */
enum request { HELLO = 1, LIST, RESERVE, WRITE, ENABLE, UNLOAD, CALL, FETCH, RELEASE, PING };

/* Codes of responses. */
enum code {
    DONE = 0,
    UNKNOWN_REQUEST = 1,
    MALFORMED = 2,
    NO_HANDLE = 3,
    WRONG_STATE = 4,
    NOT_FREE = 5,
    FULL = 6,
    HARDWARE_REFUSED = 7,
    NO_ROOM = 8,
    NOT_NEW = 9,
    NO_OUTPUT = 10,
    NOTHING_RETURNED = 11,
};

enum state { FREE = 0, RESERVED = 1, ENABLED = 2, DRIVER = 3 };

/* `poll` of a driver that is polled whenever the board wakes up. */
enum { ON_INTERRUPT = 0x8000 };

/* Operations that the firmware itself asks of a module. */
enum { OP_POLL = 0x101, OP_DISABLE = 0x102 };

/* A module or a reservation, as `list` tells it. */
struct module {
    uint16_t state;
    uint16_t id;
    uint16_t vendor;
    uint16_t text_start, text_end;
    uint16_t secret_start, secret_end;
    uint16_t room;
    uint16_t poll; /* ticks between polls; 0 never */
    uint16_t wait; /* ticks until the next one */
};

/* What the image builder knows of the board: firmware/../image writes it. */
struct driver {
    uint16_t id, vendor, text_start, text_end, secret_start, secret_end, room, poll;
};
struct board {
    uint16_t text_start, text_end; /* free for modules */
    uint16_t secret_start, secret_end;
    uint16_t slots; /* of the hardware, less those that stage 0 uses */
    uint16_t drivers;
};
extern const struct board board;
extern const struct driver board_drivers[];

/* start.S */
struct entry {
    uint16_t target, op, input, input_bytes, output, room;
};
/* Branches into a module and waits for its return; what it left in r12. */
uint16_t enter(const struct entry *entry);
/* The hardware's `enable`; the id or 0. */
uint16_t enable(uint16_t vendor, uint16_t text_start, uint16_t text_end, uint16_t secret_start, uint16_t secret_end);
/* Eight words nobody got before, from the freshness module; the kind of their source. */
uint16_t fresh(uint16_t value[8]);
/* MAC of the data under a key in memory; 8 or 16 bytes of it, as the hardware has. */
void mac(const void *key, const void *data, uint16_t data_bytes, void *tag);
/* Sleeps until an interrupt. */
void sleep(void);
/* Ticks since the last look; counted by the timer's interrupt. */
extern volatile uint16_t ticks;
/* A word of program memory that counts resets. */
extern uint16_t boots;

/* serial.c */
void serial_start(void);
void print(const char *text);
/* The next byte of the line, or -1 after a quarter of a second without. */
int receive(void);
int received(void); /* the next byte if there is one, else -1 */
void send(uint8_t byte);
uint16_t crc(uint16_t crc, uint8_t byte);

/* ring.c */
struct output {
    uint32_t number, call;
    uint16_t bytes;
    uint16_t handle;
};
void ring_start(void);
/* Room for an output of this many bytes, or null. */
uint8_t *ring_room(uint16_t bytes);
/* Keeps what was written into the room; its number. */
uint32_t ring_keep(uint32_t call, uint16_t handle, uint16_t bytes);
/* The oldest output with at least this number, or null; its bytes follow it. */
const struct output *ring_find(uint32_t number);
void ring_release(uint32_t number);
uint32_t ring_oldest(void);
uint32_t ring_next(void);
uint16_t ring_free(void);

/* modules.c */
extern struct module modules[HANDLES];
void modules_start(void);
enum code module_reserve(const uint16_t place[4], uint8_t *handle);
enum code module_write(uint8_t handle, uint16_t offset, const uint8_t *bytes, uint16_t count);
enum code module_enable(uint8_t handle, uint16_t vendor, uint16_t room, uint16_t poll);
enum code module_unload(uint8_t handle);
enum code module_call(uint8_t handle, uint32_t call, uint16_t op, const uint8_t *input, uint16_t bytes);
/* Polls the modules that are due, and those that an interrupt may have left something in. */
void modules_poll(uint16_t passed);
uint16_t modules_polled(void); /* is any module to be polled */
uint16_t handles_free(void);
uint16_t slots_free(void);
extern uint32_t last_call;

/* requests.c */
struct response {
    uint8_t bytes[PAYLOAD_BYTES];
    uint16_t count;
};
void requests_start(void);
void answer(uint8_t kind, const uint8_t *payload, uint16_t bytes, struct response *response);
/* Are there outputs that the host was not told of, or has left lying? */
uint16_t attention_due(uint16_t passed);

#endif
