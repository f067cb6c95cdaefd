/* Turns samples of the board's analogue input into temperatures: 0 is 10 degrees, 4095 is 30. */
#include "veritee.h"

enum { COLDEST_TENTHS = 100, SPAN_TENTHS = 200, SAMPLE_BITS = 12 };

VT_STRUCT(Sample, { uint16_t value; });
VT_STRUCT(Celsius, { int16_t tenths; });
VT_OUTPUT(temperature, Celsius);

VT_MODULE(rows = 2);

VT_INPUT(sample, Sample, taken)
{
    uint32_t scaled = (uint32_t)taken->value * SPAN_TENTHS >> SAMPLE_BITS;
    emit_temperature((Celsius){ (int16_t)(COLDEST_TENTHS + scaled) });
}
