#ifndef MOULT_ELEMENTWISE_H
#define MOULT_ELEMENTWISE_H

#include <stdbool.h>
#include <stdint.h>

#include "moult_types.h"

// Element by element over `count` floats; `out` may be an input.

/// out = x + y
void moult_add(const float *x, const float *y, float *out, int64_t count);

/// out = factor · x
void moult_scale(const float *x, float factor, float *out, int64_t count);

/// out = cap · tanh(x / cap)
void moult_cap(const float *x, float cap, float *out, int64_t count);

/// out = act(x)
void moult_activated(enum moult_activation activation, const float *x, float *out, int64_t count);

/// out = act(gate) · up
void moult_gated(enum moult_activation activation, const float *gate, const float *up, float *out, int64_t count);

/// out = logsigmoid(x) / divisor
void moult_log_gate(const float *x, float divisor, float *out, int64_t count);

/// Rounds or widens between float32, bfloat16 and float16.
void moult_convert(const void *from, enum moult_type from_type, void *to, enum moult_type to_type, int64_t count);

/// out = w · x + (1 - w) · y with w = sigmoid(logits[row]), over (rows, dim).
void moult_mix(const float *x, const float *y, const float *logits, float *out, int64_t rows, int64_t dim);

/// y / sqrt(mean(y²) + epsilon) · weight + bias of rows of `dim`, with y = x, or, where it is `centred`, y = x - mean(x).
struct moult_norm {
    bool centred;
    int64_t dim;
    float epsilon;
    const float *weight;  // (dim)
    const float *bias;    // (dim); NULL for none, and where it is not centred
};

void moult_norm(const struct moult_norm *norm, const float *x, float *out, int64_t rows);

/// Rotates pairs (i, i + dim/2) of x (batch, tokens, heads, dim); token t uses row `offset + t` of the (…, dim/2) tables.
void moult_rope(
    const float *x, const float *cosines, const float *sines, int64_t offset, float *out, int64_t batch,
    int64_t tokens, int64_t heads, int64_t dim);

/// Row ids[i] of `table` (…, dim), of any type, widened, for each i.
void moult_embedding(
    const int32_t *ids, int64_t count, const void *table, enum moult_type type, int64_t dim, float *out);

#endif
