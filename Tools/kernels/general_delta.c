#include "check.h"

struct gradients {
    double *q, *k, *v, *decays, *a, *b, *state;
};

/// Whether the state is zeroed before token t.
static bool starts(const struct moult_general_delta *job, int64_t t) {
    for (int64_t d = 1; d < job->document_count; d++) {
        if (job->documents[d] == t) return true;
    }
    return false;
}

/// u (V) and the state `after` (K, V) of one token of one head from the state `before`.
static void advance(
    const struct moult_general_delta *job, int64_t row, bool start, const double *before, double *after, double *u
) {
    const int64_t keys = job->key_dim, values = job->value_dim, size = keys * values;
    memset(u, 0, (size_t)values * 8);
    for (int64_t i = 0; i < size && !start; i++) u[i % values] += job->a[row * keys + i / values] * before[i];
    for (int64_t i = 0; i < size; i++) {
        const int64_t channel = row * keys + i / values;
        after[i] = (start ? 0 : exp(job->log_decays[channel]) * before[i]) + job->b[channel] * u[i % values]
            + (double)job->k[channel] * job->v[row * values + i % values];
    }
}

/// The outputs, the final states and the gradients, whose `state` holds that of the final state.
static void oracle(
    const struct moult_general_delta *job, double *final, double *out, const float *gradient, struct gradients it
) {
    const int64_t heads = job->key_value_heads, group = job->heads / heads, keys = job->key_dim;
    const int64_t values = job->value_dim, size = keys * values;
    double *states = malloc((size_t)((job->tokens + 1) * size) * 8);
    double *u = malloc((size_t)values * 8), *du = malloc((size_t)values * 8);
    for (int64_t head = 0; head < job->batch * heads; head++) {
        const int64_t first = head / heads * job->tokens * heads + head % heads;
        double *adjoint = it.state + head * size;
        for (int64_t i = 0; i < size; i++) states[i] = job->state[head * size + i];
        for (int64_t t = 0; t < job->tokens; t++) {
            advance(job, first + t * heads, starts(job, t), states + t * size, states + (t + 1) * size, u);
        }
        memcpy(final + head * size, states + job->tokens * size, (size_t)size * 8);
        for (int64_t t = job->tokens - 1; t >= 0; t--) {
            const int64_t row = first + t * heads;
            const bool start = starts(job, t);
            double *before = states + t * size, *after = before + size;
            advance(job, row, start, before, after, u);
            memset(du, 0, (size_t)values * 8);
            for (int64_t i = 0; i < size; i++) {
                const int64_t channel = row * keys + i / values, column = i % values;
                for (int64_t query = row * group; query < (row + 1) * group; query++) {
                    const double part = (double)job->scale * gradient[query * values + column];
                    out[query * values + column] +=
                        (double)job->scale * job->q[query * keys + i / values] * after[i];
                    it.q[query * keys + i / values] += part * after[i];
                    adjoint[i] += part * job->q[query * keys + i / values];
                }
                it.k[channel] += adjoint[i] * job->v[row * values + column];
                it.v[row * values + column] += adjoint[i] * job->k[channel];
                it.b[channel] += adjoint[i] * u[column];
                du[column] += adjoint[i] * job->b[channel];
            }
            for (int64_t i = 0; i < size; i++) {
                const int64_t channel = row * keys + i / values;
                const double decay = start ? 0 : exp(job->log_decays[channel]);
                if (!start) it.a[channel] += before[i] * du[i % values];
                it.decays[channel] += adjoint[i] * decay * before[i];
                adjoint[i] = decay * adjoint[i] + (start ? 0 : job->a[channel] * du[i % values]);
            }
        }
    }
    free(states), free(u), free(du);
}

static void check_one(
    int64_t batch, int64_t tokens, int64_t heads, int64_t groups, int64_t keys, int64_t values, double least,
    double most, bool documents
) {
    shape("general delta, batch %lld, %lld tokens, %lld/%lld heads of %lld and %lld, decays %g to %g%s",
          (long long)batch, (long long)tokens, (long long)heads, (long long)groups, (long long)keys,
          (long long)values, least, most, documents ? ", documents" : "");
    const int64_t begins[] = {0, tokens / 3, tokens / 2 + 1};
    const int64_t rows = batch * tokens * groups, size = batch * groups * keys * values;
    const int64_t q = batch * tokens * heads * keys, out = batch * tokens * heads * values;
    float *decays = space(rows * keys);
    for (int64_t i = 0; i < rows * keys; i++) {
        const int64_t kind = below(100);
        decays[i] = kind == 0 ? 0 : kind == 1 ? -1e4f : (float)(-least * pow(most / least, (double)below(1000) / 999));
    }
    // Factors whose product is shorter than 1, so that states stay.
    const double factor = sqrt(0.5 / (double)keys);
    const float *first = normal(size, 1);
    struct moult_general_delta job = {
        .batch = batch, .tokens = tokens, .heads = heads, .key_value_heads = groups, .key_dim = keys,
        .value_dim = values, .scale = (float)(1 / sqrt((double)keys)), .q = normal(q, 1), .k = normal(rows * keys, 1),
        .v = normal(rows * values, 1), .log_decays = decays, .a = normal(rows * keys, factor),
        .b = normal(rows * keys, factor), .state = space(size), .out = space(out),
        .documents = documents ? begins : NULL, .document_count = documents ? 3 : 0};
    memcpy(job.state, first, (size_t)size * 4);
    const float *gradient = normal(out, 1), *final_gradient = normal(size, 1);
    double *final = doubles(size), *expected = doubles(out);
    struct gradients it = {doubles(q), doubles(rows * keys), doubles(rows * values), doubles(rows * keys),
                           doubles(rows * keys), doubles(rows * keys), doubles(size)};
    for (int64_t i = 0; i < size; i++) it.state[i] = final_gradient[i];
    oracle(&job, final, expected, gradient, it);
    check("general delta has memory", moult_general_delta(&job) == 0);
    check_near("general delta", job.out, expected, out, 1e-5, 0.05);
    check_near("general delta, state", job.state, final, size, 1e-5, 0.05);
    memcpy(job.state, first, (size_t)size * 4);
    const struct moult_general_delta_backward back = {
        .forward = job, .gradient = gradient, .final_gradient = final_gradient, .q_gradient = space(q),
        .k_gradient = space(rows * keys), .v_gradient = space(rows * values),
        .log_decays_gradient = space(rows * keys), .a_gradient = space(rows * keys),
        .b_gradient = space(rows * keys), .state_gradient = space(size)};
    check("general delta backward has memory", moult_general_delta_backward(&back) == 0);
    check_near("general delta backward, q", back.q_gradient, it.q, q, 2e-5, 0.5);
    check_near("general delta backward, k", back.k_gradient, it.k, rows * keys, 2e-5, 0.5);
    check_near("general delta backward, v", back.v_gradient, it.v, rows * values, 2e-5, 0.5);
    check_near("general delta backward, decays", back.log_decays_gradient, it.decays, rows * keys, 2e-5, 0.5);
    check_near("general delta backward, a", back.a_gradient, it.a, rows * keys, 2e-5, 0.5);
    check_near("general delta backward, b", back.b_gradient, it.b, rows * keys, 2e-5, 0.5);
    check_near("general delta backward, state", back.state_gradient, it.state, size, 2e-5, 0.5);
}

void check_general_delta(void) {
    static const int64_t dims[][2] = {{1, 1}, {3, 5}, {12, 20}, {20, 12}, {64, 64}, {80, 96}, {128, 128}, {256, 256}};
    for (int64_t d = 0; d < ALL(dims); d++) {
        const int64_t k = dims[d][0], v = dims[d][1];
        check_one(1, 1, 2, 1, k, v, 1e-3, 3, false);
        if (thorough || k * v <= 4096) {
            check_one(2, 17, 3, 3, k, v, 1e-3, 3, false);
            check_one(1, 66, 3, 1, k, v, 1e-6, 30, true);
        }
        if (thorough && k * v <= 16384) {
            check_one(1, 200, 4, 2, k, v, 1e-6, 1e-5, true);
            check_one(1, 200, 2, 1, k, v, 5, 40, false);
            check_one(2, 63, 5, 1, k, v, 1e-3, 3, false);
        }
        release();
    }
}
