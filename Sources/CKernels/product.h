#ifndef MOULT_PRODUCT_H
#define MOULT_PRODUCT_H

#include <stdlib.h>

#include "include/moult_elementwise.h"
#include "kernels.h"
#include "onednn.h"

static inline int64_t size_of(enum moult_type type) { return type == moult_float32 ? 4 : 2; }

static inline int64_t divide_up(int64_t count, int64_t size) { return (count + size - 1) / size; }

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/// The rows that a product starts from.
struct input {
    const float *x;
    uint16_t *rounded;  // x in bfloat16 when products of bfloat16 go through oneDNN, or NULL
    int64_t rows, inputs;
};

/// Rounds x where that pays: on processors that multiply bfloat16. Without memory it leaves x as it is.
static inline struct input prepare(const float *x, int64_t rows, int64_t inputs, bool half) {
    struct input input = {x, NULL, rows, inputs};
    if (!half || !moult_onednn_has_bfloat16()) return input;
    input.rounded = malloc((size_t)(rows * inputs) * sizeof *input.rounded);
    if (input.rounded) moult_convert(x, moult_float32, input.rounded, moult_bfloat16, rows * inputs);
    return input;
}

/// out (rows, stride) = x · weightᵀ + bias for rows from `row` on.
static inline void product_tile(
    const struct input *input, int64_t row, int64_t rows, const void *weight, enum moult_type type, const float *bias,
    int64_t outputs, float *out, int64_t stride, float *scratch
) {
    const struct moult_kernels *kernels = moult_kernels();
    const int64_t inputs = input->inputs, at = row * inputs;
    bool done = type == moult_float32
        ? onednn_float32(input->x + at, rows, inputs, weight, outputs, out, stride)
        : type == moult_bfloat16 && input->rounded
            && onednn_bfloat16(input->rounded + at, rows, inputs, weight, outputs, out, stride);
    if (!done) {
        kernels->many_rows(input->x + at, rows, inputs, weight, type, bias, outputs, out, stride, scratch);
    } else if (bias) {
        for (int64_t r = 0; r < rows; r++) kernels->add(out + r * stride, bias, out + r * stride, outputs);
    }
}

#endif
