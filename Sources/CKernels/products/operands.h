#ifndef MOULT_OPERANDS_H
#define MOULT_OPERANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "include/moult_types.h"

enum { moult_few_rows = 8, moult_dense_scratch = 1 << 16 };

/// out (rows, columns) = a · b + bias, or += a · b. Strides count elements; one of b's is 1.
struct moult_dense {
    int64_t rows, columns, depth;
    const float *a;        // (rows, depth)
    const uint16_t *half;  // a in bfloat16, for a processor that multiplies it by b in bfloat16; or NULL
    int64_t a_row, a_depth;
    const void *b;  // (depth, columns)
    enum moult_type type;
    int64_t b_depth, b_column;
    const float *bias;  // (columns), or NULL
    bool add;           // to what `out` holds; no bias then
    float *out;
    int64_t out_row;
};

/// Rows rounded to int8 by groups of 32 inputs: codes (rows, inputs), and for each group the scale and scale · Σ codes,
/// both (rows, inputs / 32).
struct moult_grouped {
    const int8_t *codes;
    const float *scales, *sums;
};

#endif
