#ifndef MOULT_LINEAR_H
#define MOULT_LINEAR_H

#include <stdint.h>

#include "moult_types.h"

/// One product of moult_linear: weight (outputs, inputs), an optional bias (outputs), and where the result goes
/// (rows, outputs).
struct moult_product {
    const void *weight;
    const float *bias;
    float *out;
    int64_t outputs;
    enum moult_type type;
};

/// out = x · weightᵀ + bias for every product, all of the same x (rows, inputs).
enum moult_status moult_linear(
    const float *x, int64_t rows, int64_t inputs, const struct moult_product *products, int64_t count);

/// losses[r] = logsumexp(hidden[r] · headᵀ) - (hidden[r] · headᵀ)[targets[r]]: hidden (rows, inputs), head
/// (outputs, inputs). Holds one tile of logits per thread at a time.
enum moult_status moult_negative_log_likelihood(
    const float *hidden, int64_t rows, int64_t inputs, const void *head, enum moult_type type, int64_t outputs, float cap,
    const int32_t *targets, float *losses);

#endif
