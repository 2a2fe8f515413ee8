#include "check.h"

/// Whether the state is zeroed before token t.
static bool starts(const struct moult_gated_slot_attention *job, int64_t t) {
    for (int64_t d = 1; d < job->document_count; d++) {
        if (job->documents[d] == t) return true;
    }
    return false;
}

static double dot(const float *x, const double *y, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += x[i] * y[i];
    return sum;
}

/// state = a ⊙ state + (1 - a) ⊗ x for one head, from `before` to `after`.
static void advance(const float *gates, const float *x, const double *before, double *after, int64_t slots, int64_t dim) {
    for (int64_t i = 0; i < slots * dim; i++) {
        after[i] = exp(gates[i / dim]) * before[i] - expm1(gates[i / dim]) * x[i % dim];
    }
}

static void softmax_of(
    const struct moult_gated_slot_attention *job, const float *q, const double *keys, double *weights
) {
    double most = -INFINITY, sum = 0;
    for (int64_t m = 0; m < job->slots; m++) {
        weights[m] = (double)job->scale * dot(q, keys + m * job->key_dim, job->key_dim);
        most = fmax(most, weights[m]);
    }
    for (int64_t m = 0; m < job->slots; m++) sum += weights[m] = exp(weights[m] - most);
    for (int64_t m = 0; m < job->slots; m++) weights[m] /= sum;
}

/// `keys` and `values` hold the states (B, N, M, ·) before and after.
void slots_oracle(const struct moult_gated_slot_attention *job, double *keys, double *values, double *out) {
    const int64_t heads = job->key_value_heads, group = job->heads / heads, slots = job->slots;
    double *weights = malloc((size_t)slots * 8);
    for (int64_t b = 0; b < job->batch; b++) {
        for (int64_t t = 0; t < job->tokens; t++) {
            for (int64_t n = 0; n < heads; n++) {
                const int64_t row = (b * job->tokens + t) * heads + n;
                double *k = keys + (b * heads + n) * slots * job->key_dim;
                double *v = values + (b * heads + n) * slots * job->value_dim;
                if (starts(job, t)) {
                    memset(k, 0, (size_t)(slots * job->key_dim) * 8);
                    memset(v, 0, (size_t)(slots * job->value_dim) * 8);
                }
                advance(job->log_gates + row * slots, job->k + row * job->key_dim, k, k, slots, job->key_dim);
                advance(job->log_gates + row * slots, job->v + row * job->value_dim, v, v, slots, job->value_dim);
                for (int64_t query = row * group; query < (row + 1) * group; query++) {
                    softmax_of(job, job->q + query * job->key_dim, k, weights);
                    for (int64_t i = 0; i < slots * job->value_dim; i++) {
                        out[query * job->value_dim + i % job->value_dim] += weights[i / job->value_dim] * v[i];
                    }
                }
            }
        }
    }
    free(weights);
}

struct gradients {
    double *q, *k, *v, *gates, *keys, *values;
};

/// One token back: the adjoint of one head's state after the token becomes that before it.
static void retreat(
    const struct moult_gated_slot_attention *job, int64_t row, bool start, double *adjoint, const double *before,
    const float *x, double *x_gradient, double *gates, int64_t dim
) {
    for (int64_t i = 0; i < job->slots * dim; i++) {
        const int64_t gate = row * job->slots + i / dim;
        const double keep = exp(job->log_gates[gate]);
        x_gradient[row * dim + i % dim] += adjoint[i] * -expm1(job->log_gates[gate]);
        gates[gate] += adjoint[i] * keep * (before[i] - x[row * dim + i % dim]);
        adjoint[i] *= start ? 0 : keep;
    }
}

/// The gradients; `keys` and `values` hold those of the final state and then those of the initial one.
static void backward_oracle(const struct moult_gated_slot_attention *job, const float *gradient, struct gradients it) {
    const int64_t heads = job->key_value_heads, group = job->heads / heads, slots = job->slots;
    const int64_t key_size = slots * job->key_dim, value_size = slots * job->value_dim;
    double *keys = malloc((size_t)((job->tokens + 1) * key_size) * 8), *weights = malloc((size_t)slots * 8);
    double *values = malloc((size_t)((job->tokens + 1) * value_size) * 8), *reads = malloc((size_t)slots * 8);
    double *zero = calloc((size_t)(key_size + value_size), 8);
    for (int64_t head = 0; head < job->batch * heads; head++) {
        const int64_t b = head / heads, n = head % heads;
        for (int64_t i = 0; i < key_size; i++) keys[i] = job->slot_keys[head * key_size + i];
        for (int64_t i = 0; i < value_size; i++) values[i] = job->slot_values[head * value_size + i];
        for (int64_t t = 0; t < job->tokens; t++) {
            const int64_t row = (b * job->tokens + t) * heads + n;
            const float *gates = job->log_gates + row * slots;
            const double *k = starts(job, t) ? zero : keys + t * key_size;
            const double *v = starts(job, t) ? zero : values + t * value_size;
            advance(gates, job->k + row * job->key_dim, k, keys + (t + 1) * key_size, slots, job->key_dim);
            advance(gates, job->v + row * job->value_dim, v, values + (t + 1) * value_size, slots, job->value_dim);
        }
        double *key_adjoint = it.keys + head * key_size, *value_adjoint = it.values + head * value_size;
        for (int64_t t = job->tokens - 1; t >= 0; t--) {
            const int64_t row = (b * job->tokens + t) * heads + n;
            const double *k = keys + (t + 1) * key_size, *v = values + (t + 1) * value_size;
            for (int64_t query = row * group; query < (row + 1) * group; query++) {
                const float *q = job->q + query * job->key_dim, *g = gradient + query * job->value_dim;
                double mean = 0;
                softmax_of(job, q, k, weights);
                for (int64_t m = 0; m < slots; m++) {
                    mean += weights[m] * (reads[m] = dot(g, v + m * job->value_dim, job->value_dim));
                }
                for (int64_t m = 0; m < slots; m++) {
                    const double logit = weights[m] * (reads[m] - mean) * job->scale;
                    for (int64_t i = 0; i < job->key_dim; i++) {
                        it.q[query * job->key_dim + i] += logit * k[m * job->key_dim + i];
                        key_adjoint[m * job->key_dim + i] += logit * q[i];
                    }
                    for (int64_t i = 0; i < job->value_dim; i++) {
                        value_adjoint[m * job->value_dim + i] += weights[m] * g[i];
                    }
                }
            }
            const bool start = starts(job, t);
            retreat(job, row, start, key_adjoint, start ? zero : keys + t * key_size, job->k, it.k, it.gates, job->key_dim);
            retreat(job, row, start, value_adjoint, start ? zero : values + t * value_size, job->v, it.v, it.gates,
                    job->value_dim);
        }
    }
    free(keys), free(values), free(weights), free(reads), free(zero);
}

static double *widened(const float *x, int64_t count) {
    double *values = doubles(count);
    for (int64_t i = 0; i < count; i++) values[i] = x[i];
    return values;
}

static void check_one(
    int64_t batch, int64_t tokens, int64_t heads, int64_t groups, int64_t key_dim, int64_t value_dim, int64_t slots,
    bool documents
) {
    shape("batch %lld, %lld tokens, %lld/%lld heads of %lld and %lld, %lld slots%s", (long long)batch, (long long)tokens,
          (long long)heads, (long long)groups, (long long)key_dim, (long long)value_dim, (long long)slots,
          documents ? ", documents" : "");
    const int64_t begins[] = {0, tokens / 3, tokens / 2 + 1};
    const int64_t q = batch * tokens * heads * key_dim, out = batch * tokens * heads * value_dim;
    const int64_t k = batch * tokens * groups * key_dim, v = batch * tokens * groups * value_dim;
    const int64_t f = batch * tokens * groups * slots, keys = batch * groups * slots * key_dim;
    const int64_t values = batch * groups * slots * value_dim;
    float *gates = normal(f, 2);
    for (int64_t i = 0; i < f; i++) gates[i] = -log1pf(expf(-gates[i])) / 4;
    const float *first_keys = normal(keys, 0.5), *first_values = normal(values, 0.5);
    struct moult_gated_slot_attention job = {
        .batch = batch, .tokens = tokens, .heads = heads, .key_value_heads = groups, .key_dim = key_dim,
        .value_dim = value_dim, .slots = slots, .scale = (float)(1 / sqrt((double)key_dim)), .q = normal(q, 1),
        .k = normal(k, 1), .v = normal(v, 1), .log_gates = gates, .slot_keys = space(keys), .slot_values = space(values),
        .out = space(out), .documents = documents ? begins : NULL, .document_count = documents ? 3 : 0};
    double *last_keys = widened(first_keys, keys), *last_values = widened(first_values, values), *expected = doubles(out);
    slots_oracle(&job, last_keys, last_values, expected);
    static const char *const names[] = {"slots", "slots, recurrent", "slots, blocked", "slots, chunked"};
    for (enum moult_gated_slot_form form = moult_gated_slot_automatic; form <= moult_gated_slot_chunked; form++) {
        memcpy(job.slot_keys, first_keys, (size_t)keys * 4);
        memcpy(job.slot_values, first_values, (size_t)values * 4);
        check("slots have memory", moult_gated_slot_attention(&job, form) == 0);
        check_near(names[form], job.out, expected, out, 2e-5, 0.05);
        check_near(names[form], job.slot_keys, last_keys, keys, 2e-5, 0.05);
        check_near(names[form], job.slot_values, last_values, values, 2e-5, 0.05);
    }
    memcpy(job.slot_keys, first_keys, (size_t)keys * 4);
    memcpy(job.slot_values, first_values, (size_t)values * 4);
    const float *gradient = normal(out, 1), *keys_after = normal(keys, 0.3), *values_after = normal(values, 0.3);
    struct gradients it = {doubles(q), doubles(k), doubles(v), doubles(f), widened(keys_after, keys),
                           widened(values_after, values)};
    backward_oracle(&job, gradient, it);
    const struct moult_gated_slot_attention_backward back = {
        .forward = job, .gradient = gradient, .final_keys_gradient = keys_after, .final_values_gradient = values_after,
        .q_gradient = space(q), .k_gradient = space(k), .v_gradient = space(v), .log_gates_gradient = space(f),
        .keys_gradient = space(keys), .values_gradient = space(values)};
    check("slots backward have memory", moult_gated_slot_attention_backward(&back) == 0);
    check_near("slots backward, q", back.q_gradient, it.q, q, 1e-4, 0.05);
    check_near("slots backward, k", back.k_gradient, it.k, k, 1e-4, 0.05);
    check_near("slots backward, v", back.v_gradient, it.v, v, 1e-4, 0.05);
    check_near("slots backward, gates", back.log_gates_gradient, it.gates, f, 1e-4, 0.05);
    check_near("slots backward, keys", back.keys_gradient, it.keys, keys, 1e-4, 0.05);
    check_near("slots backward, values", back.values_gradient, it.values, values, 1e-4, 0.05);
}

void check_slots(void) {
    static const int64_t dims[][3] = {{1, 1, 1}, {3, 5, 2}, {8, 8, 4}, {17, 16, 7}, {64, 64, 16}, {64, 64, 64}, {80, 96, 33},
                                      {128, 128, 64}, {256, 256, 16}};
    for (int64_t d = 0; d < ALL(dims); d++) {
        const int64_t k = dims[d][0], v = dims[d][1], m = dims[d][2];
        const bool large = k * m > 1024;
        check_one(1, 1, 2, 1, k, v, m, false);
        if (!thorough && large) continue;
        check_one(2, 5, 3, 3, k, v, m, false);
        check_one(1, 66, 4, 2, k, v, m, false);
        check_one(1, 20, 3, 1, k, v, m, true);
        release();
        if (!thorough) continue;
        check_one(1, 200, 4, 2, k, v, m, true);
        check_one(2, 130, 3, 1, k, v, m, false);
        release();
    }
}
