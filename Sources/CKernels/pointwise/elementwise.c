#include "include/moult_elementwise.h"

#include "foundation/body.h"

/// The arguments of one call, for whichever body runs it.
struct job {
    const float *x, *y, *z;
    float *out;
    float number;  // factor, cap, divisor, epsilon or direction
    const struct moult_norm *norm;
    int64_t dim, heads, tokens;
};

BODY(add_body) {
    JOB(job);
    moult_kernels()->add(job->x + begin, job->y + begin, job->out + begin, end - begin);
}

void moult_add(const float *x, const float *y, float *out, int64_t count) {
    struct job job = {.x = x, .y = y, .out = out};
    moult_parallel_for(count, grain, add_body, &job);
}

BODY(scale_body) {
    JOB(job);
    moult_kernels()->scale(job->x + begin, job->number, job->out + begin, end - begin);
}

void moult_scale(const float *x, float factor, float *out, int64_t count) {
    struct job job = {.x = x, .out = out, .number = factor};
    moult_parallel_for(count, grain, scale_body, &job);
}

BODY(cap_body) {
    JOB(job);
    moult_kernels()->cap(job->x + begin, job->number, job->out + begin, end - begin);
}

void moult_cap(const float *x, float cap, float *out, int64_t count) {
    struct job job = {.x = x, .out = out, .number = cap};
    moult_parallel_for(count, costly_grain, cap_body, &job);
}

BODY(log_gate_body) {
    JOB(job);
    moult_kernels()->log_gate(job->x + begin, job->number, job->out + begin, end - begin);
}

void moult_log_gate(const float *x, float divisor, float *out, int64_t count) {
    struct job job = {.x = x, .out = out, .number = divisor};
    moult_parallel_for(count, costly_grain, log_gate_body, &job);
}

BODY(mix_body) {
    JOB(job);
    int64_t at = begin * job->dim;
    moult_kernels()->mix(job->x + at, job->y + at, job->z + begin, job->out + at, end - begin, job->dim);
}

void moult_mix(const float *x, const float *y, const float *logits, float *out, int64_t rows, int64_t dim) {
    struct job job = {.x = x, .y = y, .z = logits, .out = out, .dim = dim};
    moult_parallel_for(rows, rows_per_chunk(dim), mix_body, &job);
}

BODY(norm_body) {
    JOB(job);
    int64_t at = begin * job->norm->dim;
    moult_kernels()->norm(job->norm, job->x + at, job->out + at, end - begin);
}

void moult_norm(const struct moult_norm *norm, const float *x, float *out, int64_t rows) {
    struct job job = {.x = x, .out = out, .norm = norm};
    moult_parallel_for(rows, rows_per_chunk(norm->dim), norm_body, &job);
}

BODY(l2_norm_body) {
    JOB(job);
    int64_t at = begin * job->dim;
    moult_kernels()->l2_norm(job->x + at, job->number, job->out + at, end - begin, job->dim);
}

void moult_l2_norm(const float *x, float epsilon, float *out, int64_t rows, int64_t dim) {
    struct job job = {.x = x, .out = out, .number = epsilon, .dim = dim};
    moult_parallel_for(rows, rows_per_chunk(dim), l2_norm_body, &job);
}

BODY(rope_body) {
    JOB(job);
    int64_t half = job->dim / 2, size = job->heads * job->dim;
    for (int64_t i = begin; i < end; i++) {
        int64_t angle = i % job->tokens * half;
        moult_kernels()->rope(
            job->x + i * size, job->y + angle, job->z + angle, job->number, job->out + i * size, job->heads, job->dim);
    }
}

static void rotate(
    const float *x, const float *cosines, const float *sines, float direction, int64_t offset, float *out,
    int64_t batch, int64_t tokens, int64_t heads, int64_t dim
) {
    int64_t skip = offset * (dim / 2);
    struct job job = {
        .x = x, .y = cosines + skip, .z = sines + skip, .out = out, .number = direction, .dim = dim, .heads = heads,
        .tokens = tokens};
    moult_parallel_for(batch * tokens, rows_per_chunk(heads * dim), rope_body, &job);
}

void moult_rope(
    const float *x, const float *cosines, const float *sines, int64_t offset, float *out, int64_t batch,
    int64_t tokens, int64_t heads, int64_t dim
) {
    rotate(x, cosines, sines, 1, offset, out, batch, tokens, heads, dim);
}

void moult_rope_backward(
    const float *gradient, const float *cosines, const float *sines, int64_t offset, float *out, int64_t batch,
    int64_t tokens, int64_t heads, int64_t dim
) {
    rotate(gradient, cosines, sines, -1, offset, out, batch, tokens, heads, dim);
}
