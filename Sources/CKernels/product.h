#ifndef MOULT_PRODUCT_H
#define MOULT_PRODUCT_H

#include <stdlib.h>

#include "include/moult_elementwise.h"
#include "kernels.h"
#include "onednn.h"

static inline int64_t size_of(enum moult_type type) { return type == moult_float32 ? 4 : 2; }

static inline int64_t divide_up(int64_t count, int64_t size) { return (count + size - 1) / size; }

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/// x in bfloat16, to be freed; NULL where the processor does not multiply bfloat16, or without memory.
static inline uint16_t *round_to_half(const float *x, int64_t count) {
    if (!moult_onednn_has_bfloat16()) return NULL;
    uint16_t *rounded = malloc((size_t)count * sizeof *rounded);
    if (rounded) moult_convert(x, moult_float32, rounded, moult_bfloat16, count);
    return rounded;
}

/// The part of `x` from (row, column) on, at most (rows, columns). `half`, like a, moves with the rows.
static inline struct moult_dense tile_of(
    struct moult_dense x, int64_t row, int64_t rows, int64_t column, int64_t columns
) {
    x.rows = least(x.rows - row, rows);
    x.columns = least(x.columns - column, columns);
    x.a += row * x.a_row;
    if (x.half) x.half += row * x.a_row;
    x.b = (const char *)x.b + column * x.b_column * size_of(x.type);
    if (x.bias) x.bias += column;
    x.out += row * x.out_row + column;
    return x;
}

/// Computes `x` on this thread; `scratch` as of moult_kernels' dense.
static inline void compute_product(const struct moult_dense *x, float *scratch) {
    if (!onednn_product(x)) {
        moult_kernels()->dense(x, scratch);
    } else if (x->bias) {
        for (int64_t r = 0; r < x->rows; r++) {
            moult_kernels()->add(x->out + r * x->out_row, x->bias, x->out + r * x->out_row, x->columns);
        }
    }
}

/// Computes `x` in tiles of (rows, columns) over the pool; every element is summed within one tile, whatever the number of
/// threads. False without memory.
bool moult_tiled_product(const struct moult_dense *x, int64_t rows, int64_t columns);

#endif
