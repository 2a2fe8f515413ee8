#include "check.h"

#include "instruction_sets/kernels.h"

/// Whether the state is zeroed before token t.
static bool starts(const struct moult_recurrence *job, int64_t t) {
    for (int64_t d = 1; d < job->document_count; d++) {
        if (job->documents[d] == t) return true;
    }
    return false;
}

static double decay_of(const struct moult_recurrence *job, int64_t row, int64_t i) {
    return exp(job->log_decays[row * job->decay_dim + (job->decay_dim == job->key_dim ? i : 0)]);
}

/// One token of one head: `after` (K, V) from `before`, which is first decayed into `decayed`; what is written, u, and
/// its error v - decayedᵀ k.
static void advance(
    const struct moult_recurrence *job, int64_t row, bool start, const double *before, double *decayed, double *after,
    double *error, double *u
) {
    const int64_t keys = job->key_dim, values = job->value_dim;
    const float *k = job->k + row * keys, *v = job->v + row * values;
    for (int64_t i = 0; i < keys; i++) {
        const double decay = start ? 0 : decay_of(job, row, i);
        for (int64_t j = 0; j < values; j++) decayed[i * values + j] = decay * before[i * values + j];
    }
    for (int64_t j = 0; j < values; j++) {
        error[j] = v[j];
        for (int64_t i = 0; job->betas && i < keys; i++) error[j] -= k[i] * decayed[i * values + j];
        u[j] = error[j] * (job->betas ? job->betas[row] : 1);
    }
    for (int64_t i = 0; i < keys * values; i++) after[i] = decayed[i] + k[i / values] * u[i % values];
}

struct gradients {
    double *q, *k, *v, *decays, *betas, *state;
};

/// The outputs and final states and, unless `gradient` is NULL, the gradients, whose `state` holds that of the final
/// state.
static void oracle(
    const struct moult_recurrence *job, double *final, double *out, const float *gradient, struct gradients it
) {
    const int64_t heads = job->key_value_heads, group = job->heads / heads, keys = job->key_dim;
    const int64_t values = job->value_dim, size = keys * values;
    double *states = malloc((size_t)((job->tokens + 1) * size) * 8), *decayed = malloc((size_t)size * 8);
    double *error = malloc((size_t)values * 8), *u = malloc((size_t)values * 8), *du = malloc((size_t)values * 8);
    for (int64_t head = 0; head < job->batch * heads; head++) {
        const int64_t b = head / heads, n = head % heads;
        for (int64_t i = 0; i < size; i++) states[i] = job->state[head * size + i];
        for (int64_t t = 0; t < job->tokens; t++) {
            const int64_t row = (b * job->tokens + t) * heads + n;
            double *after = states + (t + 1) * size;
            advance(job, row, starts(job, t), after - size, decayed, after, error, u);
            for (int64_t query = row * group; query < (row + 1) * group; query++) {
                for (int64_t i = 0; i < size; i++) {
                    out[query * values + i % values] +=
                        (double)job->scale * job->q[query * keys + i / values] * after[i];
                }
            }
        }
        memcpy(final + head * size, states + job->tokens * size, (size_t)size * 8);
        double *adjoint = it.state + head * size;
        for (int64_t t = job->tokens - 1; gradient && t >= 0; t--) {
            const int64_t row = (b * job->tokens + t) * heads + n;
            const float *k = job->k + row * keys;
            double *after = states + (t + 1) * size;
            advance(job, row, starts(job, t), after - size, decayed, after, error, u);
            for (int64_t query = row * group; query < (row + 1) * group; query++) {
                for (int64_t i = 0; i < size; i++) {
                    const double part = (double)job->scale * gradient[query * values + i % values];
                    it.q[query * keys + i / values] += part * after[i];
                    adjoint[i] += part * job->q[query * keys + i / values];
                }
            }
            memset(du, 0, (size_t)values * 8);
            for (int64_t i = 0; i < size; i++) {
                du[i % values] += k[i / values] * adjoint[i];
                it.k[row * keys + i / values] += adjoint[i] * u[i % values];
            }
            for (int64_t j = 0; j < values; j++) {
                if (job->betas) it.betas[row] += du[j] * error[j];
                it.v[row * values + j] = du[j] * (job->betas ? job->betas[row] : 1);
            }
            for (int64_t i = 0; i < keys; i++) {
                const int64_t channel = job->decay_dim == keys ? i : 0;
                const double decay = starts(job, t) ? 0 : decay_of(job, row, i);
                for (int64_t j = i * values; j < (i + 1) * values; j++) {
                    if (job->betas) {
                        it.k[row * keys + i] -= decayed[j] * it.v[row * values + j % values];
                        adjoint[j] -= k[i] * it.v[row * values + j % values];
                    }
                    it.decays[row * job->decay_dim + channel] += adjoint[j] * decayed[j];
                    adjoint[j] *= decay;
                }
            }
        }
    }
    free(states), free(decayed), free(error), free(u), free(du);
}

/// Log decays of every size: mostly -`least` to -`most`, a few 0 and a few beyond what a float's exp can hold.
static float *decays(int64_t count, double least, double most) {
    float *x = space(count);
    for (int64_t i = 0; i < count; i++) {
        const int64_t kind = below(100);
        x[i] = kind == 0 ? 0 : kind == 1 ? -1e4f : (float)(-least * pow(most / least, (double)below(1000) / 999));
    }
    return x;
}

/// Whether gradients are the same to the bit where the states of two blocks at a time are there, as of rows too long for
/// all.
static void check_stretches(const struct moult_recurrence_backward *job) {
    const struct moult_recurrence *forward = &job->forward;
    const struct moult_kernels *kernels = moult_kernels();
    const int64_t heads = forward->key_value_heads, rows = forward->batch * forward->tokens * heads;
    const int64_t counts[] = {rows / heads * forward->heads * forward->key_dim, rows * forward->key_dim,
                              rows * forward->value_dim, rows * forward->decay_dim, forward->betas ? rows : 0,
                              forward->batch * heads * forward->key_dim * forward->value_dim};
    float *const expected[] = {job->q_gradient, job->k_gradient, job->v_gradient, job->log_decays_gradient,
                               job->betas_gradient, job->state_gradient};
    float *found[ALL(counts)];
    for (int i = 0; i < ALL(counts); i++) found[i] = space(counts[i]);
    const struct moult_recurrence_backward again = {
        .forward = *forward, .gradient = job->gradient, .final_gradient = job->final_gradient, .q_gradient = found[0],
        .k_gradient = found[1], .v_gradient = found[2], .log_decays_gradient = found[3], .betas_gradient = found[4],
        .state_gradient = found[5]};
    int64_t *blocks = bytes((kernels->recurrence_blocks(forward, NULL) + 1) * 8);
    const int64_t count = kernels->recurrence_blocks(forward, blocks);
    float *scratch = space(kernels->recurrence_backward_scratch(forward, count, 2));
    for (int64_t head = 0; head < forward->batch * heads; head++) {
        kernels->recurrence_backward(&again, head / heads, head % heads, blocks, count, 2, scratch);
    }
    for (int i = 0; i < ALL(counts); i++) {
        const bool same = counts[i] == 0 || memcmp(found[i], expected[i], (size_t)counts[i] * 4) == 0;
        check("recurrence backward, stretch by stretch", same);
    }
}

static void check_one(
    int64_t batch, int64_t tokens, int64_t heads, int64_t groups, int64_t keys, int64_t values, bool delta,
    bool channels, double least, double most, bool documents
) {
    shape("%s, batch %lld, %lld tokens, %lld/%lld heads of %lld and %lld, decays %g to %g per %s%s",
          delta ? "delta" : "linear", (long long)batch, (long long)tokens, (long long)heads, (long long)groups,
          (long long)keys, (long long)values, least, most, channels ? "channel" : "head",
          documents ? ", documents" : "");
    const int64_t begins[] = {0, tokens / 3, tokens / 2 + 1};
    const int64_t width = channels ? keys : 1, rows = batch * tokens * groups, size = batch * groups * keys * values;
    const int64_t q = batch * tokens * heads * keys, out = batch * tokens * heads * values;
    float *k = normal(rows * keys, 1), *betas = delta ? normal(rows, 2) : NULL;
    for (int64_t r = 0; delta && r < rows; r++) {
        double square = 1e-6;
        for (int64_t i = 0; i < keys; i++) square += k[r * keys + i] * k[r * keys + i];
        for (int64_t i = 0; i < keys; i++) k[r * keys + i] /= (float)sqrt(square);
        betas[r] = below(20) == 0 ? 0 : 1 / (1 + expf(-betas[r]));
    }
    const float *first = normal(size, 1);
    struct moult_recurrence job = {
        .batch = batch, .tokens = tokens, .heads = heads, .key_value_heads = groups, .key_dim = keys,
        .value_dim = values, .decay_dim = width, .scale = (float)(1 / sqrt((double)keys)), .q = normal(q, 1), .k = k,
        .v = normal(rows * values, 1), .log_decays = decays(rows * width, least, most), .betas = betas,
        .state = space(size), .out = space(out), .documents = documents ? begins : NULL,
        .document_count = documents ? 3 : 0};
    memcpy(job.state, first, (size_t)size * 4);
    const float *gradient = normal(out, 1), *final_gradient = normal(size, 1);
    double *final = doubles(size), *expected = doubles(out);
    struct gradients it = {doubles(q), doubles(rows * keys), doubles(rows * values), doubles(rows * width),
                           doubles(rows), doubles(size)};
    for (int64_t i = 0; i < size; i++) it.state[i] = final_gradient[i];
    oracle(&job, final, expected, gradient, it);
    static const char *const names[] = {"recurrence", "recurrence, stepwise", "recurrence, blocked"};
    for (enum moult_recurrence_form form = moult_recurrence_automatic; form <= moult_recurrence_blocked; form++) {
        memcpy(job.state, first, (size_t)size * 4);
        check("recurrences have memory", moult_recurrence(&job, form) == 0);
        check_near(names[form], job.out, expected, out, 1e-5, 0.05);
        check_near(names[form], job.state, final, size, 1e-5, 0.05);
    }
    memcpy(job.state, first, (size_t)size * 4);
    const struct moult_recurrence_backward back = {
        .forward = job, .gradient = gradient, .final_gradient = final_gradient, .q_gradient = space(q),
        .k_gradient = space(rows * keys), .v_gradient = space(rows * values),
        .log_decays_gradient = space(rows * width), .betas_gradient = delta ? space(rows) : NULL,
        .state_gradient = space(size)};
    check("recurrences backward have memory", moult_recurrence_backward(&back) == 0);
    // Sums of numbers near 1, of which there are few where shapes are small, and which may cancel.
    check_near("recurrence backward, q", back.q_gradient, it.q, q, 2e-5, 0.5);
    check_near("recurrence backward, k", back.k_gradient, it.k, rows * keys, 2e-5, 0.5);
    check_near("recurrence backward, v", back.v_gradient, it.v, rows * values, 2e-5, 0.5);
    check_near("recurrence backward, decays", back.log_decays_gradient, it.decays, rows * width, 2e-5, 0.5);
    if (delta) check_near("recurrence backward, betas", back.betas_gradient, it.betas, rows, 2e-5, 2);
    check_near("recurrence backward, state", back.state_gradient, it.state, size, 2e-5, 0.5);
    check_stretches(&back);
}

void check_recurrences(void) {
    static const int64_t dims[][2] = {{1, 1}, {3, 5}, {12, 20}, {20, 12}, {64, 64}, {80, 96}, {128, 128}, {256, 256}};
    for (int64_t d = 0; d < ALL(dims); d++) {
        const int64_t k = dims[d][0], v = dims[d][1];
        for (int form = 0; form < 4; form++) {
            const bool delta = form & 1, channels = form & 2;
            check_one(1, 1, 2, 1, k, v, delta, channels, 1e-3, 3, false);
            if (thorough || k * v <= 4096) {
                check_one(2, 17, 3, 3, k, v, delta, channels, 1e-3, 3, false);
                check_one(1, 66, 3, 1, k, v, delta, channels, 1e-6, 30, true);
            }
            if (thorough && k * v <= 16384) {
                check_one(1, 200, 4, 2, k, v, delta, channels, 1e-6, 1e-5, true);
                check_one(1, 200, 2, 1, k, v, delta, channels, 5, 40, false);
                check_one(2, 63, 5, 1, k, v, delta, channels, 1e-3, 3, false);
            }
            release();
        }
    }
    for (int form = 0; form < 4; form++) {
        check_one(1, 3000, 2, 2, 16, 16, form & 1, form & 2, 1e-4, 1, true);
        release();
    }
}
