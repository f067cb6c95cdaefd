/* How a driver speaks to the module that owns its device. */
#ifndef VERITEE_DEVICE_H
#define VERITEE_DEVICE_H

#include <stdint.h>

/* Addresses and numbers that the image builder gives: those of the owner of the device. */
extern const uint8_t vt_device_entry[], vt_device_id[];
uint16_t vt_call_out(uint16_t target, uint16_t id, uint16_t values[8]);

/* What the device says: r8 and r9 of its owner. */
struct device {
    uint16_t first, second;
};

/* Asks the owner for a command; the arguments are those of ../devices. */
static inline struct device device(uint16_t command, uint16_t argument, uint16_t second)
{
    uint16_t values[8] = { (uint16_t)(command | argument << 8), second };
    vt_call_out((uint16_t)vt_device_entry, (uint16_t)vt_device_id, values);
    return (struct device){ values[0], values[1] };
}

#endif
