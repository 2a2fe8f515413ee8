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

/// x / sqrt(the sum of squares + epsilon), over (rows, dim).
void moult_l2_norm(const float *x, float epsilon, float *out, int64_t rows, int64_t dim);

/// Rotates pairs (i, i + dim/2) of x (batch, tokens, heads, dim); token t uses row `offset + t` of the (…, dim/2) tables.
void moult_rope(
    const float *x, const float *cosines, const float *sines, int64_t offset, float *out, int64_t batch,
    int64_t tokens, int64_t heads, int64_t dim);

// MARK: Gradients

// Each is the gradient of the function that its name starts with. Sums are in an order that does not depend on the number of threads.

/// y += scale · x
void moult_add_scaled(const float *x, float scale, float *y, int64_t count);

void moult_activated_backward(
    enum moult_activation activation, const float *gradient, const float *x, float *out, int64_t count);

void moult_gated_backward(
    enum moult_activation activation, const float *gradient, const float *gate, const float *up, float *gate_out,
    float *up_out, int64_t count);

void moult_log_gate_backward(const float *gradient, const float *x, float divisor, float *out, int64_t count);

void moult_mix_backward(
    const float *gradient, const float *x, const float *y, const float *logits, float *x_out, float *y_out,
    float *logits_out, int64_t rows, int64_t dim);

/// The weight's gradient is added to `weight_gradient` (dim). That of the bias is moult_column_sums of `gradient`.
enum moult_status moult_norm_backward(
    const struct moult_norm *norm, const float *gradient, const float *x, float *out, float *weight_gradient,
    int64_t rows);

void moult_l2_norm_backward(
    const float *gradient, const float *x, float epsilon, float *out, int64_t rows, int64_t dim);

/// moult_rope by the negative angles.
void moult_rope_backward(
    const float *gradient, const float *cosines, const float *sines, int64_t offset, float *out, int64_t batch,
    int64_t tokens, int64_t heads, int64_t dim);

/// sums (columns) += the sum of the rows of x (rows, columns).
void moult_column_sums(const float *x, int64_t rows, int64_t columns, float *sums);

#endif
