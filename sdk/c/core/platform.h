/* What is between the core and a symmetric platform. */
#pragma once
#include <stdint.h>

/* What the platform gives; without key it takes the module's own. Bodies, keys and tags lie at even addresses, lengths are even. */
uint16_t vt_hw_wrap(const void *key, const void *ad, uint16_t ad_bytes, const void *body, uint16_t body_bytes, void *cipher,
                    void *tag);
uint16_t vt_hw_unwrap(const void *key, const void *ad, uint16_t ad_bytes, const void *cipher, uint16_t cipher_bytes,
                      void *plain, const void *tag);
uint16_t vt_fresh(uint16_t value[8]);
/* What the platform enters: the core's one way in. So much room for the output is always enough. */
enum { VT_OUTPUT_BYTES = 2304 };
uint16_t vt_enter(uint16_t op, const uint8_t *input, uint16_t bytes, uint8_t *output, uint16_t room);
