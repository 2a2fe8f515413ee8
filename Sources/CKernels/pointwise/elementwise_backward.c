#include "foundation/body.h"
#include "foundation/scratch.h"
#include "include/moult_elementwise.h"

/// The arguments of one call, for whichever body runs it.
struct job {
    const float *gradient, *x, *y, *logits;
    float *out, *second_out, *logits_out;
    float number;  // scale, divisor or epsilon
    const struct moult_norm *norm;
    int64_t rows, dim;
};

BODY(add_scaled_body) {
    JOB(job);
    moult_kernels()->add_scaled(job->x + begin, job->number, job->out + begin, end - begin);
}

void moult_add_scaled(const float *x, float scale, float *y, int64_t count) {
    struct job job = {.x = x, .out = y, .number = scale};
    moult_parallel_for(count, grain, add_scaled_body, &job);
}

BODY(log_gate_body) {
    JOB(job);
    moult_kernels()->log_gate_backward(
        job->gradient + begin, job->x + begin, job->number, job->out + begin, end - begin);
}

void moult_log_gate_backward(const float *gradient, const float *x, float divisor, float *out, int64_t count) {
    struct job job = {.gradient = gradient, .x = x, .out = out, .number = divisor};
    moult_parallel_for(count, costly_grain, log_gate_body, &job);
}

BODY(mix_body) {
    JOB(job);
    int64_t at = begin * job->dim;
    moult_kernels()->mix_backward(
        job->gradient + at, job->x + at, job->y + at, job->logits + begin, job->out + at, job->second_out + at,
        job->logits_out + begin, end - begin, job->dim);
}

void moult_mix_backward(
    const float *gradient, const float *x, const float *y, const float *logits, float *x_out, float *y_out,
    float *logits_out, int64_t rows, int64_t dim
) {
    struct job job = {
        .gradient = gradient, .x = x, .y = y, .logits = logits, .out = x_out, .second_out = y_out,
        .logits_out = logits_out, .dim = dim};
    moult_parallel_for(rows, rows_per_chunk(dim), mix_body, &job);
}

/// `begin` and `end` count groups of columns.
enum { column_group = 64 };

BODY(column_sums_body) {
    JOB(job);
    int64_t first = begin * column_group, last = end * column_group < job->dim ? end * column_group : job->dim;
    moult_kernels()->column_sums(job->x + first, job->rows, job->dim, job->out + first, last - first);
}

void moult_column_sums(const float *x, int64_t rows, int64_t columns, float *sums) {
    struct job job = {.x = x, .out = sums, .rows = rows, .dim = columns};
    moult_parallel_for((columns + column_group - 1) / column_group, 1, column_sums_body, &job);
}

/// Rows whose part of the weight's gradient is summed on its own, so that the sum does not depend on the threads.
enum { norm_rows = 64 };

/// `begin` and `end` count blocks of rows; block i leaves its part of the weight's gradient in row i of `second_out`.
BODY(norm_body) {
    JOB(job);
    for (int64_t block = begin; block < end; block++) {
        int64_t row = block * norm_rows, dim = job->norm->dim, at = row * dim;
        int64_t rows = job->rows - row < norm_rows ? job->rows - row : norm_rows;
        moult_kernels()->norm_backward(
            job->norm, job->gradient + at, job->x + at, job->out + at, job->second_out + block * dim, rows);
    }
}

enum moult_status moult_norm_backward(
    const struct moult_norm *norm, const float *gradient, const float *x, float *out, float *weight_gradient,
    int64_t rows
) {
    int64_t blocks = (rows + norm_rows - 1) / norm_rows;
    float *parts = moult_call_scratch((size_t)(blocks * norm->dim) * sizeof *parts);
    if (!parts) return moult_out_of_memory;
    struct job job = {.gradient = gradient, .x = x, .out = out, .second_out = parts, .norm = norm, .rows = rows};
    moult_parallel_for(blocks, 1, norm_body, &job);
    moult_column_sums(parts, blocks, norm->dim, weight_gradient);
    return moult_success;
}

BODY(l2_norm_body) {
    JOB(job);
    int64_t at = begin * job->dim;
    moult_kernels()->l2_norm_backward(
        job->gradient + at, job->x + at, job->number, job->out + at, end - begin, job->dim);
}

void moult_l2_norm_backward(
    const float *gradient, const float *x, float epsilon, float *out, int64_t rows, int64_t dim
) {
    struct job job = {.gradient = gradient, .x = x, .out = out, .number = epsilon, .dim = dim};
    moult_parallel_for(rows, rows_per_chunk(dim), l2_norm_body, &job);
}
