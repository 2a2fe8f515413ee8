#include "include/moult_linear.h"

#include <stdatomic.h>

#include "include/moult_pool.h"
#include "product.h"

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

static struct moult_dense dense_of(const struct job *job, const struct moult_product *product) {
    return (struct moult_dense){
        .rows = job->rows, .columns = product->outputs, .depth = job->inputs, .a = job->x, .half = job->half,
        .a_row = job->inputs, .a_depth = 1, .b = product->weight, .type = product->type, .b_depth = 1,
        .b_column = job->inputs, .bias = product->bias, .out = product->out, .out_row = product->outputs};
}

/// `begin` and `end` count tiles over all products.
static void many_rows_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct job *job = context;
    float *scratch = moult_scratch(moult_dense_scratch);
    if (!scratch) {
        atomic_store(&job->failed, true);
        return;
    }
    int64_t first = 0;
    for (int64_t p = 0; p < job->count && first < end; p++) {
        const struct moult_dense dense = dense_of(job, &job->products[p]);
        const struct tiles tiles = tiles_of(&dense);
        for (int64_t t = begin > first ? begin - first : 0; t < least(end - first, tiles.count); t++) {
            compute_tile(&dense, tiles, t, scratch);
        }
        first += tiles.count;
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
            const struct moult_dense dense = dense_of(&job, &products[p]);
            units += tiles_of(&dense).count;
        }
        if (half) job.half = round_to_half(x, rows * inputs, moult_call_scratch((size_t)(rows * inputs) * 2));
        moult_parallel_for(units, 1, many_rows_body, &job);
    }
    return atomic_load(&job.failed) ? moult_out_of_memory : moult_success;
}
