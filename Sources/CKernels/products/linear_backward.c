#include "include/moult_linear.h"
#include "products/product.h"

enum moult_status moult_linear_backward(
    const struct moult_term *terms, int64_t count, int64_t rows, int64_t inputs, float *out
) {
    bool add = false;
    for (int64_t t = 0; t < count; t++) {
        const int64_t outputs = terms[t].outputs;
        if (outputs == 0) continue;
        const uint16_t *half = terms[t].type == moult_bfloat16
            ? round_to_half(terms[t].gradient, rows * outputs, moult_call_scratch((size_t)(rows * outputs) * 2)) : NULL;
        const struct moult_dense product = {
            .rows = rows, .columns = inputs, .depth = outputs, .a = terms[t].gradient, .half = half, .a_row = outputs,
            .a_depth = 1, .b = terms[t].weight, .type = terms[t].type, .b_depth = inputs, .b_column = 1, .add = add,
            .out = out, .out_row = inputs};
        if (!moult_dense_product(&product)) return moult_out_of_memory;
        add = true;
    }
    if (!add) memset(out, 0, (size_t)(rows * inputs) * sizeof *out);
    return moult_success;
}

/// Rows whose products are summed at a time, so that both sides are in the cache when they are read across.
enum { block_rows = 1024 };

enum moult_status moult_linear_weight_gradient(
    const float *gradient, const float *x, int64_t rows, int64_t outputs, int64_t inputs, bool half, bool add,
    float *weight
) {
    if (rows <= 0 && !add) memset(weight, 0, (size_t)(outputs * inputs) * sizeof *weight);
    const int64_t most = least(rows, block_rows);
    uint16_t *memory = half ? moult_call_scratch((size_t)(most * (outputs + inputs)) * sizeof *memory) : NULL;
    for (int64_t row = 0; row < rows; row += block_rows) {
        const int64_t some = least(rows - row, block_rows);
        const uint16_t *a = round_to_half(gradient + row * outputs, some * outputs, memory);
        const uint16_t *b = a ? round_to_half(x + row * inputs, some * inputs, memory + some * outputs) : NULL;
        const struct moult_dense product = {
            .rows = outputs, .columns = inputs, .depth = some, .a = gradient + row * outputs, .half = a, .a_row = 1,
            .a_depth = outputs, .b = b ? (const void *)b : x + row * inputs,
            .type = b ? moult_bfloat16 : moult_float32, .b_depth = inputs, .b_column = 1, .add = add || row > 0,
            .out = weight,
            .out_row = inputs};
        if (!moult_dense_product(&product)) return moult_out_of_memory;
    }
    return moult_success;
}
