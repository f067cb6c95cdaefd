/* What the compiler asks of the runtime, one operation each. Operands lie behind each other in the input. */
#include <stdint.h>

void *memcpy(void *, const void *, unsigned);
void *memmove(void *, const void *, unsigned);
void *memset(void *, int, unsigned);
int memcmp(const void *, const void *, unsigned);

union number {
    uint16_t u16;
    int16_t i16;
    uint32_t u32;
    int32_t i32;
    uint64_t u64;
    int64_t i64;
};

uint16_t vt_enter(uint16_t op, const uint8_t *input, uint16_t bytes, uint8_t *output, uint16_t room)
{
    const union number *a = (const union number *)input, *b = (const union number *)(input + 8);
    union number *to = (union number *)output;
    (void)room;
    (void)bytes;
    to->u64 = 0;
    switch (op) {
    case 1: to->u16 = a->u16 * b->u16; break;
    case 2: to->u32 = a->u32 * b->u32; break;
    case 3: to->u64 = a->u64 * b->u64; break;
    case 4: to->u16 = a->u16 / b->u16; break;
    case 5: to->u16 = a->u16 % b->u16; break;
    case 6: to->i16 = a->i16 / b->i16; break;
    case 7: to->i16 = a->i16 % b->i16; break;
    case 8: to->u32 = a->u32 / b->u32; break;
    case 9: to->u32 = a->u32 % b->u32; break;
    case 10: to->i32 = a->i32 / b->i32; break;
    case 11: to->i32 = a->i32 % b->i32; break;
    case 12: to->u32 = a->u32 << (b->u16 & 31); break;
    case 13: to->u32 = a->u32 >> (b->u16 & 31); break;
    case 14: to->i32 = a->i32 >> (b->u16 & 31); break;
    case 15: to->u64 = a->u64 << (b->u16 & 63); break;
    case 16: to->u64 = a->u64 >> (b->u16 & 63); break;
    case 17: to->i64 = a->i64 >> (b->u16 & 63); break;
    case 18: memcpy(output, input, 8); break;
    case 19: memcpy(output, input, 8); memmove(output + 1, output, b->u16 % 8); break;
    case 20: memcpy(output, input, 8); memmove(output, output + 1, b->u16 % 8); break;
    case 21: memset(output, input[0], b->u16 % 9); break;
    case 22: to->i16 = memcmp(input, input + 8, 8); break;
    default: return 0;
    }
    return 8;
}
