/* The first analogue input. Whoever may call its entry, or a timer of the node, decides when it measures, never what. */
#include "veritee.h"
#include "../device.h"

enum { SAMPLE = 1 };

VT_STRUCT(Sample, { uint16_t value; });
VT_OUTPUT(measured, Sample);

VT_MODULE(rows = 4, exclusive);

VT_ENTRY(public, sample)
{
    emit_measured((Sample){ device(SAMPLE, 0, 0).first });
}
