#include "include/moult_short_convolution.h"

#include "foundation/body.h"
#include "foundation/scratch.h"

enum {
    most_width = 16,
    /// Channels that are worked on together: weights and a few tokens of them stay in the first cache.
    strip = 1024,
    /// Tokens whose part of the weight's gradient is summed on its own, so that the sum does not depend on the threads.
    part_tokens = 64,
};

/// What is read where there is nothing.
static const float zeros[strip];

/// The arguments of one call, for whichever body runs it.
struct job {
    const struct moult_short_convolution *call;
    const float *weights;  // (width, dim)
    const float *gradient, *final_gradient;
    float *out, *parts;
};

#define EACH_STRIP(dim) \
    for (int64_t column = 0, columns; column < (dim) && (columns = (dim) - column < strip ? (dim) - column : strip); \
         column += strip)

/// The channels from `column` on of token `t` of row `b`, as token `reader` of its document sees it: t < 0 is in the
/// state.
static const float *source(
    const struct moult_short_convolution *c, int64_t b, int64_t t, int64_t reader, int64_t column
) {
    int64_t first = c->first ? c->first[b * c->tokens + reader] : 0;
    if (t >= 0) return t >= first ? c->x + (b * c->tokens + t) * c->dim + column : zeros;
    return first == 0 && c->state ? c->state + (b * (c->width - 1) + t + c->width - 1) * c->dim + column : zeros;
}

static void rows_of(
    const struct moult_short_convolution *c, int64_t token, int64_t column, const float *rows[most_width]
) {
    int64_t b = token / c->tokens, t = token % c->tokens;
    for (int64_t j = 0; j < c->width; j++) rows[j] = source(c, b, t - c->width + 1 + j, t, column);
}

/// `columns` channels of z from `column` on, of one token.
static void convolve(const struct job *job, int64_t token, int64_t column, int64_t columns, float *out) {
    const struct moult_short_convolution *c = job->call;
    const float *rows[most_width];
    rows_of(c, token, column, rows);
    moult_kernels()->convolve(
        rows, job->weights + column, c->dim, c->bias ? c->bias + column : NULL, out, c->width, columns);
}

/// `begin` and `end` count tokens of all rows, here and below.
BODY(forward_body) {
    JOB(job);
    const struct moult_short_convolution *c = job->call;
    EACH_STRIP(c->dim) {
        for (int64_t token = begin; token < end; token++) {
            float *out = job->out + token * c->dim + column;
            convolve(job, token, column, columns, out);
            if (c->is_activated) moult_kernels()->activated(c->activation, out, out, columns);
        }
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
    for (int64_t i = 0; final && i < c->batch * (c->width - 1); i++) {
        int64_t b = i / (c->width - 1), t = c->tokens - c->width + 1 + i % (c->width - 1);
        EACH_STRIP(c->dim) {
            const float *from = source(c, b, t, c->tokens - 1, column);
            memcpy(final + i * c->dim + column, from, (size_t)columns * sizeof *final);
        }
    }
    return moult_success;
}

/// The gradient of z.
BODY(slope_body) {
    JOB(job);
    const struct moult_short_convolution *c = job->call;
    EACH_STRIP(c->dim) {
        for (int64_t token = begin; token < end; token++) {
            float z[strip];
            const int64_t at = token * c->dim + column;
            convolve(job, token, column, columns, z);
            moult_kernels()->activated_backward(c->activation, job->gradient + at, z, job->out + at, columns);
        }
    }
}

/// What reaches token `t` of row `b`, or one of the state, by way of the final state; NULL for nothing.
static const float *final_gradient(const struct job *job, int64_t b, int64_t t) {
    const struct moult_short_convolution *c = job->call;
    int64_t place = t - (c->tokens - c->width + 1), first = c->first ? c->first[(b + 1) * c->tokens - 1] : 0;
    if (!job->final_gradient || place < 0 || (t < 0 ? first > 0 : t < first)) return NULL;
    return job->final_gradient + (b * (c->width - 1) + place) * c->dim;
}

/// The gradient of token `t` of row `b`, or of one of the state: the tokens that see it, in the order of the weights'
/// rows.
static void gather(const struct job *job, int64_t b, int64_t t, int64_t column, int64_t columns, float *out) {
    const struct moult_short_convolution *c = job->call;
    const float *rows[most_width], *more = final_gradient(job, b, t);
    for (int64_t j = 0; j < c->width; j++) {
        int64_t reader = t + c->width - 1 - j;
        bool sees = reader >= 0 && reader < c->tokens;
        if (sees && c->first) sees = c->first[b * c->tokens + reader] <= (t < 0 ? 0 : t);
        rows[j] = sees ? job->gradient + (b * c->tokens + reader) * c->dim + column : zeros;
    }
    moult_kernels()->convolve(rows, job->weights + column, c->dim, more ? more + column : NULL, out, c->width, columns);
}

BODY(input_body) {
    JOB(job);
    const struct moult_short_convolution *c = job->call;
    EACH_STRIP(c->dim) {
        for (int64_t token = begin; token < end; token++) {
            gather(
                job, token / c->tokens, token % c->tokens, column, columns, job->out + token * c->dim + column);
        }
    }
}

/// `begin` and `end` count parts: `part_tokens` tokens each, which leave (width + 1, columns) for each strip, the
/// bias's in the last row.
BODY(weight_body) {
    JOB(job);
    const struct moult_short_convolution *c = job->call;
    for (int64_t part = begin; part < end; part++) {
        int64_t last = (part + 1) * part_tokens, all = c->batch * c->tokens;
        if (last > all) last = all;
        EACH_STRIP(c->dim) {
            float *sums = job->parts + (part * c->dim + column) * (c->width + 1);
            memset(sums, 0, (size_t)((c->width + 1) * columns) * sizeof *sums);
            for (int64_t token = part * part_tokens; token < last; token++) {
                const float *rows[most_width];
                rows_of(c, token, column, rows);
                moult_kernels()->convolve_sums(
                    rows, job->gradient + token * c->dim + column, sums, c->width, columns);
            }
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
        EACH_STRIP(c->dim) {
            gather(
                &job, i / (c->width - 1), i % (c->width - 1) - c->width + 1, column, columns,
                state_out + i * c->dim + column);
        }
    }
    moult_parallel_for(parts, 1, weight_body, &job);
    float *totals = job.parts + parts * sums;
    memset(totals, 0, (size_t)sums * sizeof *totals);
    moult_column_sums(job.parts, parts, sums, totals);
    EACH_STRIP(c->dim) {
        const float *own = totals + column * (c->width + 1);
        for (int64_t d = 0; d < columns; d++) {
            for (int64_t j = 0; j < c->width; j++) weight_out[(column + d) * c->width + j] = own[j * columns + d];
            if (bias_out) bias_out[column + d] = own[c->width * columns + d];
        }
    }
    return moult_success;
}
