#ifndef MOULT_ONEDNN_SHIM_H
#define MOULT_ONEDNN_SHIM_H

#include <stdbool.h>
#include <stdint.h>

#include "include/moult_onednn.h"

// Single-threaded products through oneDNN, on the calling thread: the pool shares the tiles, so that OpenMP's threads
// are never started and never compete with the pool's. Both return false when oneDNN is not in use or refuses.

/// out (rows, stride) = x (rows, inputs) · weight (outputs, inputs)ᵀ.
bool onednn_float32(
    const float *x, int64_t rows, int64_t inputs, const float *weight, int64_t outputs, float *out, int64_t stride);

/// The same with bfloat16 x and weight; products accumulate in float32.
bool onednn_bfloat16(
    const uint16_t *x, int64_t rows, int64_t inputs, const uint16_t *weight, int64_t outputs, float *out,
    int64_t stride);

#endif
