#include "check.h"

/// Whether a query at key position `position` sees key `s` of `job`: in its document, its window or its sinks.
static bool sees(const struct moult_attention *job, int64_t position, int64_t s) {
    int64_t start = 0;
    for (int64_t d = 0; d < job->document_count; d++) {
        if (job->documents[d] <= position) start = job->documents[d];
    }
    return s >= start && s <= position && (s > position - job->window || s < start + job->sinks);
}

static double dot(const float *x, const float *y, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += (double)x[i] * y[i];
    return sum;
}

/// With `backward`, also the gradients in its place.
static void oracle(
    const struct moult_attention *job, double *out, const float *gradient, double *dq, double *dk, double *dv
) {
    double *weights = malloc((size_t)job->keys * 8), *reads = malloc((size_t)job->keys * 8);
    double *slopes = malloc((size_t)job->keys * 8);
    const int64_t group = job->heads / job->key_value_heads;
    for (int64_t row = 0; row < job->batch * job->queries * job->heads; row++) {
        const int64_t b = row / job->heads / job->queries, t = row / job->heads % job->queries, h = row % job->heads;
        const int64_t position = job->keys - job->queries + t;
        const float *q = job->q + row * job->key_dim;
        double most = -INFINITY, sum = 0;
        for (int64_t s = 0; s <= position; s++) {
            if (!sees(job, position, s)) continue;
            const int64_t place = (b * job->keys + s) * job->key_value_heads + h / group;
            weights[s] = (double)job->scale * dot(q, job->k + place * job->key_dim, job->key_dim);
            if (job->cap > 0) {
                const double part = tanh(weights[s] / job->cap);
                weights[s] = job->cap * part;
                slopes[s] = 1 - part * part;
            }
            most = fmax(most, weights[s]);
        }
        for (int64_t s = 0; s <= position; s++) {
            if (sees(job, position, s)) sum += weights[s] = exp(weights[s] - most);
        }
        double mean = 0;
        for (int64_t s = 0; s <= position; s++) {
            if (!sees(job, position, s)) continue;
            const int64_t place = (b * job->keys + s) * job->key_value_heads + h / group;
            const float *v = job->v + place * job->value_dim;
            weights[s] /= sum;
            for (int64_t i = 0; i < job->value_dim; i++) out[row * job->value_dim + i] += weights[s] * v[i];
            if (gradient) mean += weights[s] * (reads[s] = dot(gradient + row * job->value_dim, v, job->value_dim));
        }
        for (int64_t s = 0; gradient && s <= position; s++) {
            if (!sees(job, position, s)) continue;
            const int64_t place = (b * job->keys + s) * job->key_value_heads + h / group;
            const double score = weights[s] * (reads[s] - mean) * job->scale * (job->cap > 0 ? slopes[s] : 1);
            for (int64_t i = 0; i < job->key_dim; i++) {
                dq[row * job->key_dim + i] += score * job->k[place * job->key_dim + i];
                dk[place * job->key_dim + i] += score * q[i];
            }
            for (int64_t i = 0; i < job->value_dim; i++) {
                dv[place * job->value_dim + i] += weights[s] * gradient[row * job->value_dim + i];
            }
        }
    }
    free(weights);
    free(reads);
    free(slopes);
}

void attention_oracle(const struct moult_attention *job, double *out) { oracle(job, out, NULL, NULL, NULL, NULL); }

static void check_one(
    int64_t batch, int64_t queries, int64_t keys, int64_t heads, int64_t groups, int64_t key_dim, int64_t value_dim,
    int64_t window, bool documents, int64_t sinks, float cap
) {
    shape("batch %lld, %lld queries, %lld keys, %lld/%lld heads of %lld and %lld, window %lld, %lld sinks%s, cap %g", (long long)batch,
          (long long)queries, (long long)keys, (long long)heads, (long long)groups, (long long)key_dim, (long long)value_dim,
          (long long)window, (long long)sinks, documents ? ", documents" : "", (double)cap);
    const int64_t starts[] = {0, keys / 3, keys / 2 + 1};
    const int64_t out_count = batch * queries * heads * value_dim, q_count = batch * queries * heads * key_dim;
    const int64_t k_count = batch * keys * groups * key_dim, v_count = batch * keys * groups * value_dim;
    struct moult_attention job = {
        .batch = batch, .queries = queries, .keys = keys, .heads = heads, .key_value_heads = groups, .key_dim = key_dim,
        .value_dim = value_dim, .window = window, .sinks = sinks, .scale = (float)(1 / sqrt((double)key_dim)), .cap = cap, .q = normal(q_count, 1.5),
        .k = normal(k_count, 1.5), .v = normal(v_count, 1), .out = space(out_count),
        .documents = documents ? starts : NULL, .document_count = documents ? 3 : 0};
    const float *gradient = normal(out_count, 1);
    double *out = doubles(out_count), *dq = doubles(q_count), *dk = doubles(k_count), *dv = doubles(v_count);
    oracle(&job, out, gradient, dq, dk, dv);
    check("attention has memory", moult_attention(&job) == 0);
    check_near("attention", job.out, out, out_count, 2e-5, 0.05);
    const struct moult_attention_backward backward = {
        .forward = job, .gradient = gradient, .q_gradient = space(q_count), .k_gradient = space(k_count),
        .v_gradient = space(v_count)};
    check("attention_backward has memory", moult_attention_backward(&backward) == 0);
    check_near("attention_backward, q", backward.q_gradient, dq, q_count, 5e-5, 1);
    check_near("attention_backward, k", backward.k_gradient, dk, k_count, 5e-5, 1);
    check_near("attention_backward, v", backward.v_gradient, dv, v_count, 5e-5, 1);
}

void check_attention(void) {
    static const int64_t dims[][2] = {{1, 1}, {3, 5}, {8, 8}, {16, 17}, {64, 64}, {80, 96}, {128, 128}, {256, 256}};
    for (int64_t d = 0; d < ALL(dims); d++) {
        const int64_t k = dims[d][0], v = dims[d][1];
        check_one(1, 1, 1, 2, 1, k, v, 1, false, 0, 0);
        check_one(2, 5, 5, 3, 3, k, v, 5, false, 0, 0);
        check_one(1, 1, 70, 6, 2, k, v, 70, false, 0, 0);
        check_one(1, 17, 33, 4, 2, k, v, 7, false, 0, 0);
        check_one(1, 40, 40, 4, 1, k, v, 40, true, 0, 0);
        check_one(1, 17, 33, 4, 2, k, v, 7, false, 3, 0);
        check_one(1, 40, 40, 4, 1, k, v, 5, true, 4, 0);
        check_one(1, 17, 33, 4, 2, k, v, 7, false, 3, 1);
        check_one(1, 40, 40, 4, 1, k, v, 40, true, 0, 0.5f);
        check_one(1, 1, 70, 6, 2, k, v, 70, false, 0, 50);
        release();
        if (!thorough) continue;
        check_one(1, 130, 130, 9, 3, k, v, 130, false, 0, 0);
        check_one(1, 130, 200, 8, 2, k, v, 64, true, 0, 0);
        check_one(1, 300, 300, 6, 2, k, v, 64, false, 4, 0);
        check_one(1, 3, 600, 14, 2, k, v, 600, false, 0, 0);
        release();
    }
}
