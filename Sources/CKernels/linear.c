#include "include/moult_linear.h"

#include <stdatomic.h>

#include "include/moult_pool.h"
#include "product.h"

// Rows and outputs of one tile: the rows of x that share a packed panel, and the outputs that share those rows.
enum { tile_rows = 256, tile_outputs = 192 };

struct job {
    const float *x;
    const uint16_t *half;
    int64_t rows, inputs;
    const struct moult_product *products;
    int64_t count;
    atomic_bool failed;
};

/// `begin` and `end` count outputs over all products.
static void few_rows_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct job *job = context;
    int64_t inputs = job->inputs, first = 0;
    for (int64_t p = 0; p < job->count && first < end; first += job->products[p++].outputs) {
        const struct moult_product *product = &job->products[p];
        int64_t from = begin > first ? begin - first : 0, to = least(end - first, product->outputs);
        if (from >= to) continue;
        moult_kernels()->few_rows(
            job->x, job->rows, inputs,
            (const char *)product->weight + from * inputs * size_of(product->type), product->type,
            product->bias ? product->bias + from : NULL, to - from, product->out + from, product->outputs);
    }
}

/// `begin` and `end` count tiles over all products; a product's tiles go down the rows first.
static void many_rows_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct job *job = context;
    float *scratch = moult_scratch(moult_dense_scratch);
    if (!scratch) {
        atomic_store(&job->failed, true);
        return;
    }
    int64_t down = divide_up(job->rows, tile_rows), first = 0;
    for (int64_t p = 0; p < job->count && first < end; p++) {
        const struct moult_product *product = &job->products[p];
        const struct moult_dense whole = {
            .rows = job->rows, .columns = product->outputs, .depth = job->inputs, .a = job->x, .half = job->half,
            .a_row = job->inputs, .a_depth = 1, .b = product->weight, .type = product->type, .b_depth = 1,
            .b_column = job->inputs, .bias = product->bias, .out = product->out, .out_row = product->outputs};
        int64_t tiles = down * divide_up(product->outputs, tile_outputs);
        for (int64_t t = begin > first ? begin - first : 0; t < least(end - first, tiles); t++) {
            struct moult_dense tile = tile_of(whole, t % down * tile_rows, tile_rows, t / down * tile_outputs, tile_outputs);
            compute_product(&tile, scratch);
        }
        first += tiles;
    }
}

enum moult_status moult_linear(
    const float *x, int64_t rows, int64_t inputs, const struct moult_product *products, int64_t count
) {
    struct job job = {x, NULL, rows, inputs, products, count, false};
    int64_t units = 0;
    if (rows <= moult_few_rows) {
        for (int64_t p = 0; p < count; p++) units += products[p].outputs;
        // A chunk reads at least 32 KiB or so of weights.
        moult_parallel_for(units, divide_up(16384, inputs > 0 ? inputs : 1), few_rows_body, &job);
    } else {
        bool half = false;
        for (int64_t p = 0; p < count; p++) {
            half |= products[p].type == moult_bfloat16;
            units += divide_up(rows, tile_rows) * divide_up(products[p].outputs, tile_outputs);
        }
        uint16_t *rounded = half ? round_to_half(x, rows * inputs) : NULL;
        job.half = rounded;
        moult_parallel_for(units, 1, many_rows_body, &job);
        free(rounded);
    }
    return atomic_load(&job.failed) ? moult_out_of_memory : moult_success;
}
