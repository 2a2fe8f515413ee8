#ifndef MOULT_PRODUCT_H
#define MOULT_PRODUCT_H

#include <stdlib.h>

#include "foundation/numbers.h"
#include "foundation/scratch.h"
#include "include/moult_convert.h"
#include "include/moult_grouped.h"
#include "include/moult_linear.h"
#include "instruction_sets/kernels.h"
#include "products/onednn.h"

/// Rounds x into `memory`, which it returns; NULL where the processor does not multiply bfloat16, or without memory. Memory
/// is the call's scratch: fresh pages for every call cost as much as the rounding.
static inline const uint16_t *round_to_half(const float *x, int64_t count, uint16_t *memory) {
    if (!memory || !moult_onednn_has_bfloat16()) return NULL;
    moult_convert(x, moult_float32, memory, moult_bfloat16, count);
    return memory;
}

/// The part of `x` from (row, column) on, at most (rows, columns).
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

/// Row `row` of a table (·, dim) of any type, as floats.
static inline void widen_table_row(const void *table, enum moult_type type, int64_t dim, int64_t row, float *out) {
    if (moult_is_grouped(type)) moult_kernels()->widen_row(table, type, dim, row, out);
    else moult_kernels()->widen((const char *)table + moult_weight_bytes(type, row, dim), type, out, dim);
}

/// Tile rows [first, last), of 16 outputs, of a product of a few rows of x on this thread, added to its `out` where `add`
/// is set. `grouped` is x rounded, for grouped weights. False without memory, which only adding needs.
bool few_rows_product(
    const float *x, const struct moult_grouped *grouped, int64_t rows, int64_t inputs, const struct moult_product *product,
    int64_t first, int64_t last, bool add);

/// x rounded for grouped weights over the pool, into `memory` of rounded_bytes.
struct moult_grouped round_to_grouped(const float *x, int64_t rows, int64_t inputs, void *memory);

static inline size_t rounded_bytes(int64_t rows, int64_t inputs) {
    return (size_t)(rows * inputs + rows * (inputs / moult_group_inputs) * 2 * (int64_t)sizeof(float));
}

/// The rows of `x` from `row` on.
static inline struct moult_grouped grouped_from(struct moult_grouped x, int64_t row, int64_t inputs) {
    const int64_t groups = inputs / moult_group_inputs;
    return (struct moult_grouped){x.codes + row * inputs, x.scales + row * groups, x.sums + row * groups};
}

/// A product's tiles, of one size but for the last: what one thread computes at a time. They depend on the product's extents
/// alone, and each element is summed within one tile, so that results do not depend on the number of threads.
struct tiles {
    int64_t rows, columns, down, count;
};

static inline int64_t even_part(int64_t extent, int64_t largest) {
    return divide_up(divide_up(extent, divide_up(extent, largest)), 16) * 16;
}

/// Large tiles spend the least on packing; where there would be few, smaller ones keep the threads busy.
static inline struct tiles tiles_of(const struct moult_dense *x) {
    enum { large_rows = 288, large_columns = 576, small_rows = 144, small_columns = 288, enough = 16 };
    if (x->rows <= 0 || x->columns <= 0) return (struct tiles){0};
    bool large = divide_up(x->rows, large_rows) * divide_up(x->columns, large_columns) >= enough;
    struct tiles tiles = {
        .rows = even_part(x->rows, large ? large_rows : small_rows),
        .columns = even_part(x->columns, large ? large_columns : small_columns)};
    tiles.down = divide_up(x->rows, tiles.rows);
    tiles.count = tiles.down * divide_up(x->columns, tiles.columns);
    return tiles;
}

/// The same for a grouped weight: tiles whose rows of x stay in the L2 cache.
static inline struct tiles grouped_tiles_of(int64_t rows, int64_t inputs, int64_t outputs) {
    enum { cached_bytes = 1 << 18, largest_rows = 128, columns = 8 * moult_tile_outputs };
    if (rows <= 0 || outputs <= 0) return (struct tiles){0};
    const int64_t cached = least(cached_bytes / inputs, largest_rows) / 16 * 16;
    struct tiles tiles = {.rows = even_part(rows, cached > 16 ? cached : 16), .columns = columns};
    tiles.down = divide_up(rows, tiles.rows);
    tiles.count = tiles.down * divide_up(outputs, tiles.columns);
    return tiles;
}

/// Computes tile `index` of `x`; tiles go down the rows first.
static inline void compute_tile(const struct moult_dense *x, struct tiles tiles, int64_t index, float *scratch) {
    struct moult_dense tile = tile_of(
        *x, index % tiles.down * tiles.rows, tiles.rows, index / tiles.down * tiles.columns, tiles.columns);
    compute_product(&tile, scratch);
}

/// Computes `x` over the pool. False without memory.
bool moult_dense_product(const struct moult_dense *x);

#endif
