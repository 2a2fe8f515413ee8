#ifndef MOULT_LINEAR_H
#define MOULT_LINEAR_H

#include <stdbool.h>
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

// MARK: Gradients

// Sums are in an order that does not depend on the number of threads.

/// One term of moult_linear_backward: gradient (rows, outputs) and weight (outputs, inputs).
struct moult_term {
    const float *gradient;
    const void *weight;
    int64_t outputs;
    enum moult_type type;
};

/// out (rows, inputs) = the sum of gradient · weight over the terms.
enum moult_status moult_linear_backward(
    const struct moult_term *terms, int64_t count, int64_t rows, int64_t inputs, float *out);

/// weight (outputs, inputs) = gradientᵀ · x, or with `add` +=: gradient (rows, outputs), x (rows, inputs). `half` allows
/// both to be rounded to bfloat16.
enum moult_status moult_linear_weight_gradient(
    const float *gradient, const float *x, int64_t rows, int64_t outputs, int64_t inputs, bool half, bool add,
    float *weight);

#endif
