#include "check.h"

/// A weight (outputs, inputs) stored as `type`, and what it then is.
static void *stored(const float *w, int64_t outputs, int64_t inputs, enum moult_type type, float **value) {
    if (!moult_is_grouped(type)) return rounded(w, outputs * inputs, type, value);
    void *weight = bytes(moult_weight_bytes(type, outputs, inputs));
    const int64_t tiles = moult_tile_rows(outputs);
    moult_quantise(&(struct moult_quantise){
        .weight = w, .outputs = outputs, .inputs = inputs, .type = type, .out = weight,
        .squared_errors = doubles(tiles), .squares = doubles(tiles), .symmetric_groups = doubles(tiles)});
    *value = space(outputs * inputs);
    moult_widen_grouped(weight, type, outputs, inputs, *value);
    return weight;
}

/// x rounded as products with grouped weights round it: to 8 bits by groups of 32.
static float *grouped_input(const float *x, int64_t count) {
    float *value = space(count);
    for (int64_t g = 0; g < count; g += 32) {
        float most = 0;
        for (int64_t i = g; i < g + 32; i++) most = fmaxf(most, fabsf(x[i]));
        for (int64_t i = g; i < g + 32; i++) value[i] = nearbyintf(x[i] * (127 / most)) * (most / 127);
    }
    return value;
}

static void product_oracle(
    const float *x, int64_t rows, int64_t inputs, const float *w, int64_t outputs, const float *bias, double *out
) {
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t o = 0; o < outputs; o++) {
            double sum = bias ? bias[o] : 0;
            for (int64_t i = 0; i < inputs; i++) sum += (double)x[r * inputs + i] * w[o * inputs + i];
            out[r * outputs + o] = sum;
        }
    }
}

/// All rows from 1 to `most` of one weight: each is a row of the same result.
static void check_linear(int64_t inputs, int64_t outputs, enum moult_type type, int64_t most) {
    const float *x = normal(most * inputs, 1), *bias = normal(outputs, 1);
    float *w;
    const void *weight = stored(normal(outputs * inputs, 0.1), outputs, inputs, type, &w);
    double *expected = doubles(most * outputs), *plain = doubles(most * outputs);
    const float *seen = moult_is_grouped(type) ? grouped_input(x, most * inputs) : x;
    product_oracle(seen, most, inputs, w, outputs, bias, expected);
    for (int64_t i = 0; i < most * outputs; i++) plain[i] = expected[i] - bias[i % outputs];
    // The rounding of an input may fall to the other side of a half.
    const double tolerance = moult_is_grouped(type) ? 2e-3 : 2e-5;
    for (int64_t rows = 1; rows <= most; rows++) {
        shape("%s, %lld rows, %lld inputs, %lld outputs", name_of(type), (long long)rows, (long long)inputs, (long long)outputs);
        float *out = space(rows * outputs), *second = space(rows * outputs);
        const struct moult_product products[] = {
            {.weight = weight, .bias = bias, .out = out, .outputs = outputs, .type = type},
            {.weight = weight, .out = second, .outputs = outputs, .type = type}};
        check("linear has memory", moult_linear(x, rows, inputs, products, 2) == moult_success);
        check_floats("linear", out, expected, rows * outputs, tolerance);
        check_floats("linear without a bias", second, plain, rows * outputs, tolerance);
    }
}

static void check_backward(int64_t rows, int64_t inputs, int64_t outputs, enum moult_type type) {
    shape("%s, %lld rows, %lld inputs, %lld outputs", name_of(type), (long long)rows, (long long)inputs, (long long)outputs);
    const float *g = normal(rows * outputs, 1), *x = normal(rows * inputs, 1);
    float *w, *out = space(rows * inputs), *sums = space(outputs * inputs);
    const void *weight = rounded(normal(outputs * inputs, 0.1), outputs * inputs, type, &w);
    double *expected = doubles(rows * inputs), *gradient = doubles(outputs * inputs);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t o = 0; o < outputs; o++) {
            const double value = g[r * outputs + o];
            for (int64_t i = 0; i < inputs; i++) {
                expected[r * inputs + i] += 2 * value * w[o * inputs + i];
                gradient[o * inputs + i] += value * x[r * inputs + i];
            }
        }
    }
    const struct moult_term terms[] = {
        {.gradient = g, .weight = weight, .outputs = outputs, .type = type},
        {.gradient = g, .weight = weight, .outputs = outputs, .type = type}};
    check("linear_backward has memory", moult_linear_backward(terms, 2, rows, inputs, out) == moult_success);
    check_floats("linear_backward", out, expected, rows * inputs, 2e-5);
    moult_linear_weight_gradient(g, x, rows, outputs, inputs, false, false, sums);
    check_floats("linear_weight_gradient", sums, gradient, outputs * inputs, 2e-5);
    moult_linear_weight_gradient(g, x, rows, outputs, inputs, false, true, sums);
    for (int64_t i = 0; i < outputs * inputs; i++) gradient[i] *= 2;
    check_floats("linear_weight_gradient, added", sums, gradient, outputs * inputs, 2e-5);
}

void check_products(void) {
    static const struct {
        int64_t inputs, outputs, most;
    } odd[] = {{1, 1, 10}, {3, 5, 20}, {7, 17, 20}, {16, 16, 20}, {31, 33, 20}, {64, 48, 20}, {100, 7, 20}, {257, 65, 20}},
      grouped[] = {{32, 1, 20}, {32, 16, 20}, {64, 17, 20}, {96, 33, 20}, {576, 50, 20}, {1536, 19, 20}},
      real[] = {{576, 40, 20}, {896, 40, 20}, {2048, 24, 20}, {4864, 24, 20}, {5632, 24, 20}, {8192, 20, 20},
                {8960, 20, 20}, {11008, 20, 12}, {14336, 20, 20}, {18944, 18, 9}, {28672, 17, 9}, {29568, 17, 9}};
    for (enum moult_type type = moult_float32; type <= moult_q4; type++) {
        const bool integers = moult_is_grouped(type);
        for (int64_t i = 0; i < (integers ? ALL(grouped) : ALL(odd)); i++) {
            if (integers) check_linear(grouped[i].inputs, grouped[i].outputs, type, thorough ? grouped[i].most : 10);
            else check_linear(odd[i].inputs, odd[i].outputs, type, thorough ? odd[i].most : 10);
            release();
        }
        for (int64_t i = 0; i < ALL(real); i++) {
            if (!thorough && real[i].inputs != 14336) continue;
            check_linear(real[i].inputs, thorough ? real[i].outputs : 17, type, thorough ? real[i].most : 9);
            release();
        }
    }
    static const int64_t backward[][3] = {{1, 1, 1}, {3, 7, 5}, {9, 33, 17}, {17, 64, 31}, {40, 130, 70}, {5, 300, 1000}};
    for (int64_t i = 0; i < ALL(backward); i++) {
        for (enum moult_type type = moult_float32; type <= moult_float16; type++) {
            check_backward(backward[i][0], backward[i][1], backward[i][2], type);
            release();
        }
    }
    for (enum moult_type type = moult_float32; type <= moult_q4; type++) {
        check_linear(64, 700, type, 3);
        release();
    }
    check_linear(300, 600, moult_float32, 1);
    const int64_t rows = thorough ? 300 : 70;
    shape("many rows");
    const float *x = normal(rows * 96, 1);
    float *w, *out = space(rows * 600);
    const void *weight = rounded(normal(600 * 96, 0.1), 600 * 96, moult_bfloat16, &w);
    double *expected = doubles(rows * 600);
    product_oracle(x, rows, 96, w, 600, NULL, expected);
    moult_linear(x, rows, 96, &(struct moult_product){.weight = weight, .out = out, .outputs = 600, .type = moult_bfloat16}, 1);
    check_floats("linear", out, expected, rows * 600, 2e-5);
}
