#ifndef MOULT_ELEMENTWISE_H
#define MOULT_ELEMENTWISE_H

#include <stdint.h>

#include "moult_types.h"

// Element by element over `count` floats; `out` may be an input.

/// out = x + y
void moult_add(const float *x, const float *y, float *out, int64_t count);

/// out = x / (1 + exp(-x))
void moult_silu(const float *x, float *out, int64_t count);

/// out = silu(gate) · up
void moult_swiglu(const float *gate, const float *up, float *out, int64_t count);

/// out = logsigmoid(x) / divisor
void moult_log_gate(const float *x, float divisor, float *out, int64_t count);

/// Rounds or widens between float32, bfloat16 and float16.
void moult_convert(const void *from, enum moult_type from_type, void *to, enum moult_type to_type, int64_t count);

/// out = w · x + (1 - w) · y with w = sigmoid(logits[row]), over (rows, dim).
void moult_mix(const float *x, const float *y, const float *logits, float *out, int64_t rows, int64_t dim);

/// out = x / sqrt(mean(x²) + epsilon) · weight, over (rows, dim).
void moult_rms_norm(const float *x, const float *weight, float epsilon, float *out, int64_t rows, int64_t dim);

/// Rotates pairs (i, i + dim/2) of x (batch, tokens, heads, dim); token t uses row `offset + t` of the (…, dim/2) tables.
void moult_rope(
    const float *x, const float *cosines, const float *sines, int64_t offset, float *out, int64_t batch,
    int64_t tokens, int64_t heads, int64_t dim);

/// Row ids[i] of `table` (…, dim), of any type, widened, for each i.
void moult_embedding(
    const int32_t *ids, int64_t count, const void *table, enum moult_type type, int64_t dim, float *out);

#endif
