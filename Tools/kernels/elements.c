#include "check.h"

static double sigmoid(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }

static double gelu_angle(double x) { return sqrt(2 / M_PI) * (x + 0.044715 * x * x * x); }

static double act(enum moult_activation activation, double x) {
    switch (activation) {
    case moult_silu: return x * sigmoid(x);
    case moult_gelu: return x * erfc(-x / sqrt(2)) / 2;
    default: return x * (1 + tanh(gelu_angle(x))) / 2;
    }
}

static double slope(enum moult_activation activation, double x) {
    const double s = sigmoid(x), t = tanh(gelu_angle(x));
    switch (activation) {
    case moult_silu: return s * (1 + x * (1 - s));
    case moult_gelu: return erfc(-x / sqrt(2)) / 2 + x * exp(-x * x / 2) / sqrt(2 * M_PI);
    default: return (1 + t) / 2 + x * (1 - t * t) / 2 * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
    }
}

static void check_one_by_one(int64_t count) {
    shape("%lld elements", (long long)count);
    const float *x = normal(count, 6), *y = normal(count, 2), *g = normal(count, 1);
    float *out = space(count), *other = space(count);
    double *expected = doubles(count), *second = doubles(count);
    moult_add(x, y, out, count);
    for (int64_t i = 0; i < count; i++) expected[i] = (double)x[i] + y[i];
    check_floats("add", out, expected, count, 1e-6);
    moult_scale(x, 0.3f, out, count);
    for (int64_t i = 0; i < count; i++) expected[i] = x[i] * (double)0.3f;
    check_floats("scale", out, expected, count, 1e-6);
    // Of a few elements all may be far to the left, where x times a tiny share is left: an exponential of minus some tens
    // multiplies the rounding of its argument by as much.
    const double tail = 1e-3;
    for (enum moult_activation a = moult_silu; a <= moult_gelu_tanh; a++) {
        moult_activated(a, x, out, count);
        for (int64_t i = 0; i < count; i++) expected[i] = act(a, x[i]);
        check_near("activated", out, expected, count, 1e-6, tail);
        moult_gated(a, x, y, out, count);
        for (int64_t i = 0; i < count; i++) expected[i] *= y[i];
        check_near("gated", out, expected, count, 1e-6, tail);
        moult_activated_backward(a, g, x, out, count);
        for (int64_t i = 0; i < count; i++) expected[i] = g[i] * slope(a, x[i]);
        check_near("activated_backward", out, expected, count, 1e-5, tail);
        moult_gated_backward(a, g, x, y, out, other, count);
        for (int64_t i = 0; i < count; i++) {
            second[i] = g[i] * act(a, x[i]);
            expected[i] *= y[i];
        }
        check_near("gated_backward, gate", out, expected, count, 1e-5, tail);
        check_near("gated_backward, up", other, second, count, 1e-5, tail);
    }
    moult_log_gate(x, 3, out, count);
    for (int64_t i = 0; i < count; i++) expected[i] = (fmin(x[i], 0) - log1p(exp(-fabs((double)x[i])))) / 3;
    check_floats("log_gate", out, expected, count, 1e-6);
    moult_log_gate_backward(g, x, 3, out, count);
    for (int64_t i = 0; i < count; i++) expected[i] = g[i] * sigmoid(-x[i]) / 3;
    check_floats("log_gate_backward", out, expected, count, 1e-5);
    memcpy(out, y, (size_t)count * 4);
    moult_add_scaled(x, 0.25f, out, count);
    for (int64_t i = 0; i < count; i++) expected[i] = y[i] + 0.25 * x[i];
    check_floats("add_scaled", out, expected, count, 1e-6);
    for (enum moult_type type = moult_bfloat16; type <= moult_float16; type++) {
        float *value;
        rounded(x, count, type, &value);
        for (int64_t i = 0; i < count; i++) expected[i] = x[i];
        check_floats(type == moult_bfloat16 ? "convert, bf16" : "convert, f16", value, expected, count,
                     type == moult_bfloat16 ? 1.0 / 256 : 1.0 / 2048);
    }
}

static void check_optimiser(int64_t count) {
    shape("%lld elements", (long long)count);
    float *p = normal(count, 1), *m = normal(count, 0.1), *v = normal(count, 0.1), *g = normal(count, 1);
    double *parameter = doubles(count), *first = doubles(count), *second = doubles(count);
    for (int64_t i = 0; i < count; i++) {
        v[i] = fabsf(v[i]);
        const double gradient = 0.5 * g[i];
        first[i] = 0.9 * m[i] + 0.1 * gradient;
        second[i] = 0.95 * v[i] + 0.05 * gradient * gradient;
        parameter[i] = p[i] - 0.01 * (0.1 * p[i] + first[i] / 0.3 / (sqrt(second[i] / 0.2) + 1e-8));
    }
    moult_adam_w(&(struct moult_adam_w){
        .count = count, .parameter = p, .first = m, .second = v, .gradient = g, .learning_rate = 0.01f, .beta1 = 0.9f,
        .beta2 = 0.95f, .epsilon = 1e-8f, .weight_decay = 0.1f, .gradient_scale = 0.5f, .first_correction = 0.3f,
        .second_correction = 0.2f});
    check_floats("adam_w, parameter", p, parameter, count, 1e-5);
    check_floats("adam_w, first", m, first, count, 1e-5);
    check_floats("adam_w, second", v, second, count, 1e-5);
}

static void check_rows(int64_t rows, int64_t dim) {
    shape("%lld rows of %lld", (long long)rows, (long long)dim);
    const int64_t count = rows * dim;
    const float *x = normal(count, 2), *y = normal(count, 1), *g = normal(count, 1), *w = normal(dim, 1);
    const float *logits = normal(rows, 2), *shift = normal(dim, 1);
    float *out = space(count), *other = space(count), *sums = space(dim), *slopes = space(rows);
    double *expected = doubles(count), *second = doubles(count), *columns = doubles(dim), *third = doubles(rows);
    // What is left of one element less its mean is rounding.
    for (int centred = 0; centred < (dim > 1 ? 2 : 1); centred++) {
        const struct moult_norm norm = {
            .centred = centred, .dim = dim, .epsilon = 1e-5f, .weight = w, .bias = centred ? shift : NULL};
        moult_norm(&norm, x, out, rows);
        for (int64_t i = 0; i < dim; i++) sums[i] = 0.5f, columns[i] = 0.5;
        for (int64_t r = 0; r < rows; r++) {
            const float *row = x + r * dim, *gradient = g + r * dim;
            double mean = 0, square = 0, dot = 0, sum = 0;
            for (int64_t i = 0; centred && i < dim; i++) mean += row[i] / (double)dim;
            for (int64_t i = 0; i < dim; i++) {
                const double y = row[i] - mean, h = (double)gradient[i] * w[i];
                square += y * y, dot += h * y, sum += h;
            }
            const double root = sqrt(square / (double)dim + 1e-5);
            for (int64_t i = 0; i < dim; i++) {
                const double y = row[i] - mean, h = (double)gradient[i] * w[i] - (centred ? sum / (double)dim : 0);
                expected[r * dim + i] = y / root * w[i] + (centred ? shift[i] : 0);
                second[r * dim + i] = h / root - y * dot / ((double)dim * root * root * root);
                columns[i] += gradient[i] * y / root;
            }
        }
        check_floats(centred ? "layer_norm" : "rms_norm", out, expected, count, 1e-5);
        check("norm_backward has memory", moult_norm_backward(&norm, g, x, out, sums, rows) == moult_success);
        // Few elements may lie close together, and their slopes be steep.
        const double tolerance = centred && dim < 8 ? 1e-4 : 1e-5;
        check_near(centred ? "layer_norm_backward" : "rms_norm_backward", out, second, count, tolerance, 0.5);
        check_near("norm_backward, weight", sums, columns, dim, 1e-5, 0.5);
    }
    moult_mix(x, y, logits, out, rows, dim);
    for (int64_t r = 0; r < rows; r++) {
        const double share = sigmoid(logits[r]);
        third[r] = 0;
        for (int64_t i = r * dim; i < (r + 1) * dim; i++) {
            expected[i] = share * x[i] + (1 - share) * y[i];
            third[r] += g[i] * ((double)x[i] - y[i]) * share * (1 - share);
        }
    }
    check_floats("mix", out, expected, count, 1e-5);
    moult_mix_backward(g, x, y, logits, out, other, slopes, rows, dim);
    for (int64_t i = 0; i < count; i++) {
        expected[i] = g[i] * sigmoid(logits[i / dim]);
        second[i] = g[i] * (1 - sigmoid(logits[i / dim]));
    }
    check_floats("mix_backward, x", out, expected, count, 1e-5);
    check_floats("mix_backward, y", other, second, count, 1e-5);
    // Sums of `dim` terms of both signs, which may leave next to nothing.
    check_near("mix_backward, logits", slopes, third, rows, 1e-4, fmax(0.1, sqrt((double)dim) / 50));
    for (int64_t i = 0; i < dim; i++) {
        sums[i] = 1, columns[i] = 1;
        for (int64_t r = 0; r < rows; r++) columns[i] += x[r * dim + i];
    }
    moult_column_sums(x, rows, dim, sums);
    check_near("column_sums", sums, columns, dim, 1e-5, 0.5);
}

static void check_rope(int64_t batch, int64_t tokens, int64_t heads, int64_t dim) {
    shape("batch %lld, %lld tokens, %lld heads of %lld", (long long)batch, (long long)tokens, (long long)heads, (long long)dim);
    const int64_t offset = 3, half = dim / 2, count = batch * tokens * heads * dim;
    const float *x = normal(count, 1), *cosines = normal((offset + tokens) * half, 1), *sines = normal((offset + tokens) * half, 1);
    float *out = space(count);
    double *expected = doubles(count);
    for (int sign = 1; sign >= -1; sign -= 2) {
        for (int64_t i = 0; i < count; i += dim) {
            const int64_t angle = (offset + i / dim / heads % tokens) * half;
            for (int64_t j = 0; j < half; j++) {
                const double c = cosines[angle + j], s = sign * sines[angle + j];
                expected[i + j] = x[i + j] * c - x[i + j + half] * s;
                expected[i + j + half] = x[i + j + half] * c + x[i + j] * s;
            }
        }
        (sign > 0 ? moult_rope : moult_rope_backward)(x, cosines, sines, offset, out, batch, tokens, heads, dim);
        check_floats(sign > 0 ? "rope" : "rope_backward", out, expected, count, 1e-5);
    }
}

static void check_embedding(int64_t vocabulary, int64_t dim) {
    shape("vocabulary %lld, width %lld", (long long)vocabulary, (long long)dim);
    enum { count = 7 };
    int32_t ids[count];
    for (int i = 0; i < count; i++) ids[i] = (int32_t)below(vocabulary);
    ids[count - 1] = ids[0];
    const float *table = normal(vocabulary * dim, 1), *g = normal(count * dim, 1);
    double *expected = doubles(vocabulary * dim);
    for (enum moult_type type = moult_float32; type <= moult_float16; type++) {
        float *value, *out = space(count * dim);
        const void *stored = rounded(table, vocabulary * dim, type, &value);
        moult_embedding(ids, count, stored, type, dim, out);
        for (int64_t i = 0; i < count * dim; i++) expected[i] = value[ids[i / dim] * dim + i % dim];
        check_floats("embedding", out, expected, count * dim, 0);
    }
    float *sums = space(vocabulary * dim);
    for (int64_t i = 0; i < vocabulary * dim; i++) sums[i] = 1, expected[i] = 1;
    for (int64_t i = 0; i < count * dim; i++) expected[ids[i / dim] * dim + i % dim] += g[i];
    moult_embedding_backward(g, ids, count, dim, sums);
    check_floats("embedding_backward", sums, expected, vocabulary * dim, 1e-6);
}

void check_elements(void) {
    static const int64_t counts[] = {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 127, 1000, 4099, 14336};
    for (int64_t i = 0; i < ALL(counts); i++) check_one_by_one(counts[i]), check_optimiser(counts[i]), release();
    static const int64_t rows[] = {1, 2, 3, 5, 8, 17}, dims[] = {1, 3, 8, 17, 64, 65, 896, 2048, 3072, 4096, 8192};
    for (int64_t r = 0; r < ALL(rows); r++) {
        for (int64_t d = 0; d < ALL(dims); d++) check_rows(rows[r], dims[d]), release();
    }
    static const int64_t heads[] = {2, 8, 10, 64, 80, 96, 128, 160, 256};
    for (int64_t d = 0; d < ALL(heads); d++) check_rope(2, 5, 3, heads[d]), release();
    check_embedding(11, 5), check_embedding(100, 64), check_embedding(33, 2048), release();
}
