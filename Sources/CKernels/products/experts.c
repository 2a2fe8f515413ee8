#include "include/moult_experts.h"

#include "foundation/body.h"
#include "products/product.h"

void moult_route_row(
    const float *logits, int64_t experts, int64_t active, bool normalised, int32_t *chosen, float *shares
) {
    float most = -INFINITY, all = 0, sum = 0;
    for (int64_t e = 0; e < experts; e++) most = fmaxf(most, logits[e]);
    for (int64_t e = 0; e < experts && !normalised; e++) all += expf(logits[e] - most);
    for (int64_t k = 0; k < active; k++) {
        int64_t best = -1;
        for (int64_t e = 0; e < experts; e++) {
            bool taken = false;
            for (int64_t i = 0; i < k; i++) taken |= chosen[i] == e;
            if (!taken && (best < 0 || logits[e] > logits[best])) best = e;
        }
        chosen[k] = (int32_t)best;
        sum += shares[k] = expf(logits[best] - most);
    }
    for (int64_t k = 0; k < active; k++) shares[k] /= normalised ? sum : all;
}

struct routes {
    const float *logits, *gradient, *weights;
    int64_t rows, experts, active;
    bool normalised;
    float *out;
};

enum { most_active = 64 };

BODY(route_body) {
    JOB(routes);
    int32_t chosen[most_active];
    float shares[most_active];
    for (int64_t r = begin; r < end; r++) {
        moult_route_row(job->logits + r * job->experts, job->experts, job->active, job->normalised, chosen, shares);
        for (int64_t e = 0; e < job->experts; e++) job->out[e * job->rows + r] = 0;
        for (int64_t k = 0; k < job->active; k++) job->out[chosen[k] * job->rows + r] = shares[k];
    }
}

void moult_route(
    const float *logits, int64_t rows, int64_t experts, int64_t active, bool normalised, float *weights
) {
    struct routes job = {
        .logits = logits, .rows = rows, .experts = experts, .active = active, .normalised = normalised, .out = weights};
    moult_parallel_for(rows, rows_per_chunk(experts * active), route_body, &job);
}

/// With p = softmax(logits) and d = Σ gradient · weight: of weights that are p, p (gradient, where taken, - d); of those that
/// are divided by their sum, weight · (gradient - d).
BODY(route_backward_body) {
    JOB(routes);
    for (int64_t r = begin; r < end; r++) {
        const float *logits = job->logits + r * job->experts;
        float dot = 0, most = -INFINITY, sum = 0;
        for (int64_t e = 0; e < job->experts; e++) {
            dot += job->gradient[e * job->rows + r] * job->weights[e * job->rows + r];
            most = fmaxf(most, logits[e]);
        }
        for (int64_t e = 0; e < job->experts && !job->normalised; e++) sum += expf(logits[e] - most);
        for (int64_t e = 0; e < job->experts; e++) {
            const float weight = job->weights[e * job->rows + r], share = job->normalised ? weight : expf(logits[e] - most) / sum;
            const float gradient = weight > 0 ? job->gradient[e * job->rows + r] : 0;
            job->out[r * job->experts + e] = share * (gradient - dot);
        }
    }
}

void moult_route_backward(
    const float *gradient, const float *logits, const float *weights, int64_t rows, int64_t experts, bool normalised,
    float *out
) {
    struct routes job = {
        .logits = logits, .gradient = gradient, .weights = weights, .rows = rows, .experts = experts,
        .normalised = normalised, .out = out};
    moult_parallel_for(rows, rows_per_chunk(4 * experts), route_backward_body, &job);
}

struct rows {
    const float *x, *y, *shares;
    const int32_t *ids;
    int64_t dim;
    float *out;
};

BODY(take_body) {
    JOB(rows);
    for (int64_t i = begin; i < end; i++) {
        const int64_t id = job->ids[i];
        moult_kernels()->scale(
            job->x + id * job->dim, job->shares ? job->shares[id] : 1, job->out + i * job->dim, job->dim);
    }
}

void moult_take_rows(
    const float *x, const int32_t *ids, const float *shares, int64_t count, int64_t dim, float *out
) {
    struct rows job = {.x = x, .shares = shares, .ids = ids, .dim = dim, .out = out};
    moult_parallel_for(count, rows_per_chunk(dim), take_body, &job);
}

BODY(add_body) {
    JOB(rows);
    for (int64_t i = begin; i < end; i++) {
        const int64_t id = job->ids[i];
        moult_kernels()->add_scaled(
            job->x + i * job->dim, job->shares ? job->shares[id] : 1, job->out + id * job->dim, job->dim);
    }
}

void moult_add_rows(
    const float *x, const int32_t *ids, const float *shares, int64_t count, int64_t dim, float *sum
) {
    struct rows job = {.x = x, .shares = shares, .ids = ids, .dim = dim, .out = sum};
    moult_parallel_for(count, rows_per_chunk(dim), add_body, &job);
}

BODY(products_body) {
    JOB(rows);
    for (int64_t i = begin; i < end; i++) {
        const int64_t id = job->ids[i];
        moult_kernels()->few_rows(
            job->x + i * job->dim, 1, job->dim, job->y + id * job->dim, moult_float32, NULL, 1, job->out + id, 1);
    }
}

void moult_row_products(
    const float *x, const float *y, const int32_t *ids, int64_t count, int64_t dim, float *out
) {
    struct rows job = {.x = x, .y = y, .ids = ids, .dim = dim, .out = out};
    moult_parallel_for(count, rows_per_chunk(dim), products_body, &job);
}
