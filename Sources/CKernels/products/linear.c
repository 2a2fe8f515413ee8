#include "include/moult_linear.h"

#include <stdatomic.h>

#include "include/moult_pool.h"
#include "products/product.h"

struct job {
    const float *x;
    const uint16_t *half;          // x for bfloat16 weights, or NULL
    struct moult_grouped grouped;  // x for grouped weights, if there are any
    int64_t rows, inputs;
    const struct moult_product *products;
    int64_t count;
    atomic_bool failed;
};

bool few_rows_product(
    const float *x, const struct moult_grouped *grouped, int64_t rows, int64_t inputs, const struct moult_product *product,
    int64_t first, int64_t last, bool add
) {
    const struct moult_kernels *kernels = moult_kernels();
    if (moult_is_grouped(product->type)) {
        kernels->grouped_rows(
            grouped, rows, product->weight, product->type, inputs, product->outputs, first, last, product->bias,
            product->out, product->outputs, add);
        return true;
    }
    const int64_t begin = first * moult_tile_outputs, count = least(last * moult_tile_outputs, product->outputs) - begin;
    const char *weight = (const char *)product->weight + moult_weight_bytes(product->type, begin, inputs);
    const float *bias = product->bias ? product->bias + begin : NULL;
    float *out = product->out + begin;
    if (!add) {
        kernels->few_rows(x, rows, inputs, weight, product->type, bias, count, out, product->outputs);
        return true;
    }
    float *sums = moult_scratch((size_t)(rows * count) * sizeof(float));
    if (!sums) return false;
    kernels->few_rows(x, rows, inputs, weight, product->type, bias, count, sums, count);
    for (int64_t r = 0; r < rows; r++) {
        float *row = out + r * product->outputs;
        kernels->add(row, sums + r * count, row, count);
    }
    return true;
}

/// `begin` and `end` count tile rows, of 16 outputs, over all products.
static void few_rows_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct job *job = context;
    for (int64_t p = 0, first = 0; p < job->count && first < end; first += moult_tile_rows(job->products[p++].outputs)) {
        const struct moult_product *product = &job->products[p];
        const int64_t from = begin > first ? begin - first : 0;
        const int64_t to = least(end - first, moult_tile_rows(product->outputs));
        if (from >= to) continue;
        few_rows_product(job->x, &job->grouped, job->rows, job->inputs, product, from, to, false);
    }
}

static struct moult_dense dense_of(const struct job *job, const struct moult_product *product) {
    return (struct moult_dense){
        .rows = job->rows, .columns = product->outputs, .depth = job->inputs, .a = job->x, .half = job->half,
        .a_row = job->inputs, .a_depth = 1, .b = product->weight, .type = product->type, .b_depth = 1,
        .b_column = job->inputs, .bias = product->bias, .out = product->out, .out_row = product->outputs};
}

static struct tiles tiles_of_product(const struct job *job, const struct moult_product *product) {
    if (moult_is_grouped(product->type)) return grouped_tiles_of(job->rows, job->inputs, product->outputs);
    const struct moult_dense dense = dense_of(job, product);
    return tiles_of(&dense);
}

static void compute_product_tile(
    const struct job *job, const struct moult_product *product, struct tiles tiles, int64_t index, float *scratch
) {
    if (!moult_is_grouped(product->type)) {
        const struct moult_dense dense = dense_of(job, product);
        compute_tile(&dense, tiles, index, scratch);
        return;
    }
    const int64_t row = index % tiles.down * tiles.rows, output = index / tiles.down * tiles.columns;
    const struct moult_grouped x = grouped_from(job->grouped, row, job->inputs);
    moult_kernels()->grouped_rows(
        &x, least(job->rows - row, tiles.rows), product->weight, product->type, job->inputs, product->outputs,
        output / moult_tile_outputs, moult_tile_rows(least(output + tiles.columns, product->outputs)), product->bias,
        product->out + row * product->outputs, product->outputs, false);
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
        const struct tiles tiles = tiles_of_product(job, &job->products[p]);
        for (int64_t t = begin > first ? begin - first : 0; t < least(end - first, tiles.count); t++) {
            compute_product_tile(job, &job->products[p], tiles, t, scratch);
        }
        first += tiles.count;
    }
}

enum moult_status moult_linear(
    const float *x, int64_t rows, int64_t inputs, const struct moult_product *products, int64_t count
) {
    struct job job = {.x = x, .rows = rows, .inputs = inputs, .products = products, .count = count};
    const bool few = rows <= moult_few_rows;
    int64_t units = 0;
    bool half = false, grouped = false;
    for (int64_t p = 0; p < count; p++) {
        half |= !few && products[p].type == moult_bfloat16;
        grouped |= moult_is_grouped(products[p].type);
        units += few ? moult_tile_rows(products[p].outputs) : tiles_of_product(&job, &products[p]).count;
    }
    if (half || grouped) {
        const size_t half_bytes = half ? (size_t)(rows * inputs) * 2 : 0;
        char *memory = moult_call_scratch(half_bytes + (grouped ? rounded_bytes(rows, inputs) : 0));
        if (grouped && !memory) return moult_out_of_memory;
        if (half) job.half = round_to_half(x, rows * inputs, (uint16_t *)(void *)memory);
        if (grouped) job.grouped = round_to_grouped(x, rows, inputs, memory + half_bytes);
    }
    // A chunk of a few rows reads at least 32 KiB or so of weights.
    const int64_t least_units = few ? divide_up(16384, moult_tile_outputs * (inputs > 0 ? inputs : 1)) : 1;
    moult_parallel_for(units, least_units, few ? few_rows_body : many_rows_body, &job);
    return atomic_load(&job.failed) ? moult_out_of_memory : moult_success;
}
