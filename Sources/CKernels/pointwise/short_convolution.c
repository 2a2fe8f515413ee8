#include "include/moult_short_convolution.h"

#include "foundation/body.h"
#include "foundation/scratch.h"

enum {
    most_width = 16,
    /// Tokens whose part of the weight's gradient is summed on its own, so that the sum does not depend on the threads.
    part_tokens = 64,
};

/// The arguments of one call, for whichever body runs it.
struct job {
    const struct moult_short_convolution *call;
    const float *weights;  // (width, dim)
    const float *gradient, *final_gradient;
    float *out, *final, *parts, *state_out;
};

/// Token `t` of row `b` as token `reader` of its document sees it, NULL where it does not: t < 0 is in the state.
static const float *source(const struct moult_short_convolution *c, int64_t b, int64_t t, int64_t reader) {
    int64_t first = c->first ? c->first[b * c->tokens + reader] : 0;
    if (t >= 0) return t >= first ? c->x + (b * c->tokens + t) * c->dim : NULL;
    return first == 0 && c->state ? c->state + (b * (c->width - 1) + t + c->width - 1) * c->dim : NULL;
}

static void rows_of(const struct moult_short_convolution *c, int64_t token, const float *rows[most_width]) {
    int64_t b = token / c->tokens, t = token % c->tokens;
    for (int64_t j = 0; j < c->width; j++) rows[j] = source(c, b, t - c->width + 1 + j, t);
}

/// `begin` and `end` count tokens of all rows, here and below.
BODY(forward_body) {
    JOB(job);
    const struct moult_short_convolution *c = job->call;
    for (int64_t token = begin; token < end; token++) {
        const float *rows[most_width];
        rows_of(c, token, rows);
        float *out = job->out + token * c->dim;
        moult_kernels()->convolve(rows, job->weights, c->bias, out, c->width, c->dim);
        if (c->is_activated) moult_kernels()->activated(c->activation, out, out, c->dim);
    }
}

/// weight (dim, width) → (width, dim).
static const float *transposed(const struct moult_short_convolution *c, float *memory) {
    for (int64_t d = 0; d < c->dim; d++) {
        for (int64_t j = 0; j < c->width; j++) memory[j * c->dim + d] = c->weight[d * c->width + j];
    }
    return memory;
}

enum moult_status moult_short_convolution(const struct moult_short_convolution *c, float *out, float *final) {
    float *memory = moult_call_scratch((size_t)(c->width * c->dim + 1) * sizeof *memory);
    if (!memory) return moult_out_of_memory;
    struct job job = {.call = c, .weights = transposed(c, memory), .out = out};
    moult_parallel_for(c->batch * c->tokens, rows_per_chunk(c->dim), forward_body, &job);
    const size_t bytes = (size_t)c->dim * sizeof *final;
    for (int64_t i = 0; final && i < c->batch * (c->width - 1); i++) {
        int64_t b = i / (c->width - 1), t = c->tokens - c->width + 1 + i % (c->width - 1);
        const float *from = source(c, b, t, c->tokens - 1);
        if (from) memcpy(final + i * c->dim, from, bytes);
        else memset(final + i * c->dim, 0, bytes);
    }
    return moult_success;
}

/// The gradient of z, in the place of `out`.
BODY(slope_body) {
    JOB(job);
    const struct moult_short_convolution *c = job->call;
    for (int64_t token = begin; token < end; token++) {
        const float *rows[most_width];
        rows_of(c, token, rows);
        float *z = job->out + token * c->dim;
        moult_kernels()->convolve(rows, job->weights, c->bias, z, c->width, c->dim);
        moult_kernels()->activated_backward(c->activation, job->gradient + token * c->dim, z, z, c->dim);
    }
}

/// Adds to the gradient `out` of token `t`, or one of the state, what comes by way of the final state.
static void add_final(const struct job *job, int64_t b, int64_t t, float *out) {
    const struct moult_short_convolution *c = job->call;
    int64_t place = t - (c->tokens - c->width + 1);
    if (!job->final_gradient || place < 0) return;
    int64_t first = c->first ? c->first[(b + 1) * c->tokens - 1] : 0;
    if (t < 0 ? first > 0 : t < first) return;
    const float *more = job->final_gradient + (b * (c->width - 1) + place) * c->dim;
    moult_kernels()->add_scaled(more, 1, out, c->dim);
}

/// The gradient of token `t` of row `b`, or of one of the state: the tokens that see it, in the order of the weights' rows.
static void gather(const struct job *job, int64_t b, int64_t t, float *out) {
    const struct moult_short_convolution *c = job->call;
    const float *rows[most_width];
    for (int64_t j = 0; j < c->width; j++) {
        int64_t reader = t + c->width - 1 - j;
        bool sees = reader >= 0 && reader < c->tokens;
        if (sees && c->first) sees = c->first[b * c->tokens + reader] <= (t < 0 ? 0 : t);
        rows[j] = sees ? job->gradient + (b * c->tokens + reader) * c->dim : NULL;
    }
    moult_kernels()->convolve(rows, job->weights, NULL, out, c->width, c->dim);
    add_final(job, b, t, out);
}

BODY(input_body) {
    JOB(job);
    const struct moult_short_convolution *c = job->call;
    for (int64_t token = begin; token < end; token++) {
        gather(job, token / c->tokens, token % c->tokens, job->out + token * c->dim);
    }
}

/// `begin` and `end` count parts: `part_tokens` tokens each, which leave (width + 1, dim) with the bias's in the last row.
BODY(weight_body) {
    JOB(job);
    const struct moult_short_convolution *c = job->call;
    for (int64_t part = begin; part < end; part++) {
        float *sums = job->parts + part * (c->width + 1) * c->dim;
        memset(sums, 0, (size_t)((c->width + 1) * c->dim) * sizeof *sums);
        int64_t last = (part + 1) * part_tokens, all = c->batch * c->tokens;
        for (int64_t token = part * part_tokens; token < last && token < all; token++) {
            const float *rows[most_width], *gradient = job->gradient + token * c->dim;
            rows_of(c, token, rows);
            for (int64_t j = 0; j < c->width; j++) {
                if (rows[j]) moult_kernels()->add_products(gradient, rows[j], sums + j * c->dim, c->dim);
            }
            moult_kernels()->add_scaled(gradient, 1, sums + c->width * c->dim, c->dim);
        }
    }
}

enum moult_status moult_short_convolution_backward(
    const struct moult_short_convolution *c, const float *gradient, const float *final_gradient, float *x_out,
    float *weight_out, float *bias_out, float *state_out
) {
    int64_t tokens = c->batch * c->tokens, parts = (tokens + part_tokens - 1) / part_tokens;
    int64_t weights = c->width * c->dim, sums = weights + c->dim, slopes = c->is_activated ? tokens * c->dim : 0;
    float *memory = moult_call_scratch((size_t)(weights + slopes + (parts + 1) * sums) * sizeof *memory);
    if (!memory) return moult_out_of_memory;
    struct job job = {
        .call = c, .weights = transposed(c, memory), .gradient = gradient, .final_gradient = final_gradient,
        .out = memory + weights, .parts = memory + weights + slopes};
    if (c->is_activated) {
        moult_parallel_for(tokens, rows_per_chunk(c->dim), slope_body, &job);
        job.gradient = job.out;
    }
    job.out = x_out;
    moult_parallel_for(tokens, rows_per_chunk(c->dim), input_body, &job);
    for (int64_t i = 0; state_out && i < c->batch * (c->width - 1); i++) {
        gather(&job, i / (c->width - 1), i % (c->width - 1) - c->width + 1, state_out + i * c->dim);
    }
    moult_parallel_for(parts, 1, weight_body, &job);
    float *totals = job.parts + parts * sums;
    memset(totals, 0, (size_t)sums * sizeof *totals);
    moult_column_sums(job.parts, parts, sums, totals);
    for (int64_t d = 0; d < c->dim; d++) {
        for (int64_t j = 0; j < c->width; j++) weight_out[d * c->width + j] = totals[j * c->dim + d];
    }
    if (bias_out) memcpy(bias_out, totals + weights, (size_t)c->dim * sizeof *bias_out);
    return moult_success;
}
