/* Bytes: UART1 is the line to the host, UART2 prints. */
#include "board.h"

#define REGISTER8(address) (*(volatile uint8_t *)(address))
#define REGISTER16(address) (*(volatile uint16_t *)(address))

enum {
    CONTROL = 0,
    STATUS = 1,
    BAUD = 2,
    TRANSMIT = 4,
    RECEIVE = 5,
    UART1 = 0x80,
    UART2 = 0x88,
    TX_FULL = 1 << 3,
    RX_PENDING = 1 << 4,
    RX_OVERFLOW = 1 << 5,
    CYCLES_A_BIT = 69, /* 115,200 baud at 8 MHz */
};

/* Looks at the line until a quarter of a second has passed: one look is 31 cycles. */
static const uint32_t looks = 64500;

void serial_start(void)
{
    REGISTER16(UART1 + BAUD) = CYCLES_A_BIT - 1;
    REGISTER8(UART1 + CONTROL) = 0x11; /* enabled, interrupt on reception */
    REGISTER16(UART2 + BAUD) = CYCLES_A_BIT - 1;
    REGISTER8(UART2 + CONTROL) = 0x01;
}

int received(void)
{
    if (!(REGISTER8(UART1 + STATUS) & RX_PENDING))
        return -1;
    /* The byte first: what comes between would otherwise be taken for read. */
    uint8_t byte = REGISTER8(UART1 + RECEIVE);
    REGISTER8(UART1 + STATUS) = RX_PENDING | RX_OVERFLOW;
    return byte;
}

int receive(void)
{
    for (uint32_t look = looks; look; look--) {
        int byte = received();
        if (byte >= 0)
            return byte;
    }
    return -1;
}

static void put(uint16_t uart, uint8_t byte)
{
    while (REGISTER8(uart + STATUS) & TX_FULL)
        ;
    REGISTER8(uart + TRANSMIT) = byte;
}

void send(uint8_t byte)
{
    put(UART1, byte);
}

void print(const char *text)
{
    while (*text)
        put(UART2, (uint8_t)*text++);
}

/* CRC-16/CCITT-FALSE, one byte: without a table and without a loop. */
uint16_t crc(uint16_t crc, uint8_t byte)
{
    crc = (uint16_t)(crc >> 8 | crc << 8);
    crc ^= byte;
    crc ^= (uint8_t)crc >> 4;
    crc ^= crc << 12;
    crc ^= (crc & 0xff) << 5;
    return crc;
}
