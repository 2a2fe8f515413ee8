#ifndef MOULT_ELEMENTWISE_H
#define MOULT_ELEMENTWISE_H

#include <stdint.h>

// Element by element over `count` floats; `out` may be an input.

/// out = x + y
void moult_add(const float *x, const float *y, float *out, int64_t count);

#endif
