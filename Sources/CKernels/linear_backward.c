#include "include/moult_training.h"
#include "product.h"

// Tiles are smaller than the forward product's: there are few of them, and each is deep.
enum { tile_rows = 192, tile_columns = 192 };

enum moult_status moult_linear_backward(
    const struct moult_term *terms, int64_t count, int64_t rows, int64_t inputs, float *out
) {
    if (count == 0) memset(out, 0, (size_t)(rows * inputs) * sizeof *out);
    for (int64_t t = 0; t < count; t++) {
        const int64_t outputs = terms[t].outputs;
        uint16_t *half = terms[t].type == moult_bfloat16 ? round_to_half(terms[t].gradient, rows * outputs) : NULL;
        const struct moult_dense product = {
            .rows = rows, .columns = inputs, .depth = outputs, .a = terms[t].gradient, .half = half, .a_row = outputs,
            .a_depth = 1, .b = terms[t].weight, .type = terms[t].type, .b_depth = inputs, .b_column = 1, .add = t > 0,
            .out = out, .out_row = inputs};
        bool done = moult_tiled_product(&product, tile_rows, tile_columns);
        free(half);
        if (!done) return moult_out_of_memory;
    }
    return moult_success;
}

enum moult_status moult_linear_weight_gradient(
    const float *gradient, const float *x, int64_t rows, int64_t outputs, int64_t inputs, bool half, float *weight
) {
    uint16_t *a = half ? round_to_half(gradient, rows * outputs) : NULL;
    uint16_t *b = a ? round_to_half(x, rows * inputs) : NULL;
    const struct moult_dense product = {
        .rows = outputs, .columns = inputs, .depth = rows, .a = gradient, .half = b ? a : NULL, .a_row = 1,
        .a_depth = outputs, .b = b ? (const void *)b : x, .type = b ? moult_bfloat16 : moult_float32,
        .b_depth = inputs, .b_column = 1, .add = true, .out = weight, .out_row = inputs};
    bool done = moult_tiled_product(&product, tile_rows, tile_columns);
    free(a);
    free(b);
    return done ? moult_success : moult_out_of_memory;
}
