#include "check.h"

/// Rows that hold `values`.
static struct moult_step_rows *rows_at(struct moult_step *step, int64_t width, float *values) {
    return moult_step_make_rows(step, width, values);
}

static double silu(double x) { return x / (1 + exp(-x)); }

/// A token of several sequences through embedding, norm, a gated product and an added one.
static void check_chain(int64_t rows, int64_t width, int64_t hidden, enum moult_type type) {
    shape("%s, %lld rows, width %lld, hidden %lld", name_of(type), (long long)rows, (long long)width, (long long)hidden);
    enum { vocabulary = 50 };
    float *table, *gate, *up, *down, *gates = space(rows * hidden), *ups = space(rows * hidden);
    const float *norm = normal(width, 1);
    const struct moult_norm row_norm = {.dim = width, .epsilon = 1e-5f, .weight = norm};
    const struct moult_product embedding = {
        .weight = rounded(normal(vocabulary * width, 1), vocabulary * width, type, &table), .outputs = vocabulary, .type = type};
    const double deviation = 1 / sqrt((double)width);
    const struct moult_product gate_product = {
        .weight = rounded(normal(hidden * width, deviation), hidden * width, type, &gate), .out = gates, .outputs = hidden,
        .type = type};
    const struct moult_product up_product = {
        .weight = rounded(normal(hidden * width, deviation), hidden * width, type, &up), .out = ups, .outputs = hidden,
        .type = type};
    int32_t *tokens = bytes(rows * 4);
    struct moult_step *step = moult_step_create(rows);
    struct moult_step_rows *x = rows_at(step, width, space(rows * width)), *y = rows_at(step, width, space(rows * width));
    struct moult_step_rows *z = rows_at(step, hidden, space(rows * hidden)), *sum = rows_at(step, width, space(rows * width));
    const struct moult_product down_product = {
        .weight = rounded(normal(width * hidden, deviation), width * hidden, type, &down), .out = sum->values, .outputs = width,
        .type = type};
    check("a step has memory",
          moult_step_embedding(step, tokens, &embedding, x) && moult_step_norm(step, x, &row_norm, y)
              && moult_step_gated_linear(step, y, moult_silu, &gate_product, &up_product, z)
              && moult_step_linear(step, z, &down_product, 1, x, 0));
    double *expected = doubles(rows * width), *normed = doubles(width), *inner = doubles(hidden);
    for (int64_t count = rows; count > 0; count = count == 1 ? 0 : (count + 1) / 2) {
        for (int64_t r = 0; r < count; r++) {
            tokens[r] = (int32_t)below(vocabulary);
            const float *row = table + tokens[r] * width;
            double square = 0;
            for (int64_t i = 0; i < width; i++) square += (double)row[i] * row[i];
            const double root = sqrt(square / (double)width + 1e-5);
            for (int64_t i = 0; i < width; i++) normed[i] = row[i] / root * norm[i];
            for (int64_t h = 0; h < hidden; h++) {
                double a = 0, b = 0;
                for (int64_t i = 0; i < width; i++) {
                    a += gate[h * width + i] * normed[i], b += up[h * width + i] * normed[i];
                }
                inner[h] = silu(a) * b;
            }
            for (int64_t i = 0; i < width; i++) {
                double sum = row[i];
                for (int64_t h = 0; h < hidden; h++) sum += down[i * hidden + h] * inner[h];
                expected[r * width + i] = sum;
            }
        }
        check("a step runs", moult_step_run(step, count) == moult_success);
        float *found = space(count * width);
        memcpy(found, sum->values, (size_t)(count * width) * 4);
        check_floats("a step", found, expected, count * width, 2e-5);
    }
    moult_step_destroy(step);
}

/// Rounds x (rows, dim) to what a cache of `type` stands for, and returns it as the cache holds it, with the scales of codes.
static void *held_as(enum moult_cache_type type, float *x, int64_t rows, int64_t dim, float **scales) {
    *scales = NULL;
    if (type == moult_cache_float32) return x;
    if (type == moult_cache_bfloat16) {
        uint16_t *bits = (uint16_t *)space((rows * dim + 1) / 2);
        for (int64_t i = 0; i < rows * dim; i++) {
            uint32_t whole;
            memcpy(&whole, x + i, 4);
            whole &= 0xffff0000u;
            memcpy(x + i, &whole, 4);
            bits[i] = (uint16_t)(whole >> 16);
        }
        return bits;
    }
    int8_t *codes = (int8_t *)space((rows * dim + 3) / 4);
    *scales = space(rows);
    moult_round_codes(x, rows, dim, codes, *scales);
    moult_widen_codes(codes, *scales, rows, dim, x);
    return codes;
}

/// One token through the mixers, beside the oracles of whole sequences.
static void check_mixers(
    int64_t heads, int64_t groups, int64_t dim, int64_t slots, int64_t held, enum moult_cache_type type, float cap
) {
    shape(
        "%lld/%lld heads of %lld, %lld slots, %lld keys, cache %d, cap %g", (long long)heads, (long long)groups, (long long)dim,
        (long long)slots, (long long)held, (int)type, (double)cap);
    enum { rows = 2 };
    const int64_t q = rows * heads * dim, k = rows * groups * dim, f = rows * groups * slots;
    float *gates = normal(f, 2), *queries = normal(q, 1);
    float *new_keys = normal(k, 1), *new_values = normal(k, 1), *unused;
    held_as(type, new_keys, rows * groups, dim, &unused), held_as(type, new_values, rows * groups, dim, &unused);
    float *slot_out = space(q), *attention_out = space(q);
    struct moult_step *step = moult_step_create(rows);
    struct moult_step_heads job = {
        .heads = heads, .key_value_heads = groups, .key_dim = dim, .value_dim = dim, .scale = (float)(1 / sqrt((double)dim)),
        .cap = cap,
        .q = rows_at(step, heads * dim, queries), .k = rows_at(step, groups * dim, new_keys),
        .v = rows_at(step, groups * dim, new_values), .out = rows_at(step, heads * dim, slot_out)};
    float *state_keys[rows], *state_values[rows];
    struct moult_step_cache caches[rows];
    check("a step has memory",
          moult_step_gated_slots(step, &job, rows_at(step, groups * slots, gates), 4, slots, state_keys, state_values));
    job.out = rows_at(step, heads * dim, attention_out);
    check("a step has memory", moult_step_attention(step, &job, INT64_MAX, caches));
    const int64_t state = groups * slots * dim;
    double *expected = doubles(q), *attended = doubles(q);
    for (int64_t r = 0; r < rows; r++) {
        // Keys are held in any order, but for the sinks, here turned no other way.
        const int64_t place = below(held);
        state_keys[r] = normal(state, 0.5), state_values[r] = normal(state, 0.5);
        float *past_keys = normal(held * groups * dim, 1), *past_values = normal(held * groups * dim, 1);
        caches[r] = (struct moult_step_cache){.type = type, .place = place, .held = held, .sinks = place / 2 < 4 ? place / 2 : 4, .scale = 1};
        caches[r].keys = held_as(type, past_keys, held * groups, dim, &caches[r].key_scales);
        caches[r].values = held_as(type, past_values, held * groups, dim, &caches[r].value_scales);
        float *log_gates = space(groups * slots);
        for (int64_t i = 0; i < groups * slots; i++) log_gates[i] = -log1pf(expf(-gates[r * groups * slots + i])) / 4;
        double *keys = doubles(state), *values = doubles(state);
        for (int64_t i = 0; i < state; i++) keys[i] = state_keys[r][i], values[i] = state_values[r][i];
        slots_oracle(&(struct moult_gated_slot_attention){
            .batch = 1, .tokens = 1, .heads = heads, .key_value_heads = groups, .key_dim = dim, .value_dim = dim,
            .slots = slots, .scale = job.scale, .q = queries + r * heads * dim, .k = new_keys + r * groups * dim,
            .v = new_values + r * groups * dim, .log_gates = log_gates}, keys, values, expected + r * heads * dim);
        memcpy(past_keys + place * groups * dim, new_keys + r * groups * dim, (size_t)(groups * dim) * 4);
        memcpy(past_values + place * groups * dim, new_values + r * groups * dim, (size_t)(groups * dim) * 4);
        attention_oracle(&(struct moult_attention){
            .batch = 1, .queries = 1, .keys = held, .heads = heads, .key_value_heads = groups, .key_dim = dim,
            .value_dim = dim, .window = held, .scale = job.scale, .cap = cap, .q = queries + r * heads * dim, .k = past_keys,
            .v = past_values}, attended + r * heads * dim);
    }
    check("a step of mixers runs", moult_step_run(step, rows) == moult_success);
    check_floats("a step of slots", slot_out, expected, q, 2e-5);
    check_floats("a step of attention", attention_out, attended, q, 2e-5);
    moult_step_destroy(step);
}

void check_steps(void) {
    static const int64_t rows[] = {1, 2, 3, 4, 5, 7, 8, 9, 17};
    for (int64_t r = 0; r < ALL(rows); r++) {
        for (enum moult_type type = moult_float32; type <= moult_float16; type++) {
            check_chain(rows[r], 48, 33, type);
            if (thorough || rows[r] == 5) check_chain(rows[r], 32, 14336, type), check_chain(rows[r], 5632, 20, type);
            release();
        }
    }
    for (enum moult_cache_type type = moult_cache_float32; type <= moult_cache_codes; type++) {
        // Many keys are cut into ranges, one of which has the place of the new key.
        static const int64_t held[] = {1, 37, 511, 512, 700, 1100};
        for (int64_t h = 0; h < ALL(held); h++) {
            check_mixers(4, 2, 8, 5, held[h], type, 0), check_mixers(9, 3, 64, 64, held[h], type, 0);
            check_mixers(14, 2, 64, 32, held[h], type, 1.5f), check_mixers(8, 1, 256, 17, held[h], type, 0), release();
            if (thorough) check_mixers(32, 8, 128, 64, held[h], type, 0), check_mixers(6, 2, 80, 64, held[h], type, 0), release();
        }
    }
}
