#ifndef MOULT_KERNELS_H
#define MOULT_KERNELS_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "include/moult_attention.h"
#include "include/moult_gated_slot_attention.h"
#include "include/moult_grouped.h"
#include "include/moult_quantise.h"
#include "include/moult_training.h"
#include "include/moult_types.h"

/// out (rows, columns) = a · b + bias, or += a · b. Strides count elements; one of b's is 1.
struct moult_dense {
    int64_t rows, columns, depth;
    const float *a;        // (rows, depth)
    const uint16_t *half;  // a in bfloat16, for a processor that multiplies it by b in bfloat16; or NULL
    int64_t a_row, a_depth;
    const void *b;  // (depth, columns)
    enum moult_type type;
    int64_t b_depth, b_column;
    const float *bias;  // (columns), or NULL
    bool add;           // to what `out` holds; no bias then
    float *out;
    int64_t out_row;
};

/// Where the document begins that the key position `position` is in.
static inline int64_t moult_document_start(const struct moult_attention *job, int64_t position) {
    int64_t low = 0, high = job->document_count;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (job->documents[middle] <= position) low = middle + 1; else high = middle;
    }
    return low > 0 ? job->documents[low - 1] : 0;
}

/// Queries [begin, end) of one key/value head, and what they add to the gradients of keys [first_sink, sinks_end) and
/// [first_key, last_key), the former before the latter, and of their values: rows of padded K floats, then rows of padded V.
struct moult_attention_range {
    int64_t batch, head, begin, end, first_sink, sinks_end, first_key, last_key;
    float *sums;
};

static inline int64_t moult_range_rows(const struct moult_attention_range *range) {
    return range->sinks_end - range->first_sink + range->last_key - range->first_key;
}

/// The row of `key`; -1 when it is in neither part.
static inline int64_t moult_range_row(const struct moult_attention_range *range, int64_t key) {
    if (key >= range->first_key && key < range->last_key)
        return range->sinks_end - range->first_sink + key - range->first_key;
    return key >= range->first_sink && key < range->sinks_end ? key - range->first_sink : -1;
}

/// Rows rounded to int8 by groups of 32 inputs: codes (rows, inputs), and for each group the scale and scale · Σ codes,
/// both (rows, inputs / 32).
struct moult_grouped {
    const int8_t *codes;
    const float *scales, *sums;
};

/// The single-threaded kernels of one instruction set. Each is written once, in a *.inc file, over the vector type of
/// vector.h; kernels_<set>.c compiles all of them for one set and fills one table. The functions that Swift calls
/// (include/moult_*.h) share the work over the pool and call the table of the chosen set.
struct moult_kernels {
    const char *name;
    int width;  // floats in a vector

    // elementwise.inc
    void (*add)(const float *x, const float *y, float *out, int64_t count);
    void (*scale)(const float *x, float factor, float *out, int64_t count);
    /// out = cap · tanh(x / cap).
    void (*cap)(const float *x, float cap, float *out, int64_t count);
    void (*log_gate)(const float *x, float divisor, float *out, int64_t count);
    void (*widen)(const void *x, enum moult_type type, float *out, int64_t count);
    void (*narrow)(const float *x, enum moult_type type, uint16_t *out, int64_t count);
    void (*mix)(const float *x, const float *y, const float *logits, float *out, int64_t rows, int64_t dim);

    /// The sum of the words of 4096 bytes, read as fast as can be.
    uint64_t (*read_page)(const char *page);

    // elementwise_backward.inc
    void (*add_scaled)(const float *x, float scale, float *y, int64_t count);
    /// gradient *= the slope of `cap` where it gave `capped`.
    void (*cap_backward)(const float *capped, float cap, float *gradient, int64_t count);
    void (*log_gate_backward)(const float *gradient, const float *x, float divisor, float *out, int64_t count);
    void (*mix_backward)(
        const float *gradient, const float *x, const float *y, const float *logits, float *x_out, float *y_out,
        float *logits_out, int64_t rows, int64_t dim);
    /// Adds the sums of `columns` columns of x (rows, stride) to `sums`.
    void (*column_sums)(const float *x, int64_t rows, int64_t stride, float *sums, int64_t columns);
    /// Replaces `weight_sums` (dim).
    void (*norm_backward)(
        const struct moult_norm *norm, const float *gradient, const float *x, float *out, float *weight_sums,
        int64_t rows);

    // activations.inc
    void (*activated)(enum moult_activation activation, const float *x, float *out, int64_t count);
    void (*gated)(
        enum moult_activation activation, const float *gate, const float *up, float *out, int64_t count);
    void (*activated_backward)(
        enum moult_activation activation, const float *gradient, const float *x, float *out, int64_t count);
    void (*gated_backward)(
        enum moult_activation activation, const float *gradient, const float *gate, const float *up, float *gate_out,
        float *up_out, int64_t count);

    // losses.inc
    double (*sum_of_squares)(const float *x, int64_t count);
    /// The sum of (x - y)².
    double (*squared_distance)(const float *x, const float *y, int64_t count);
    /// out = scale · (x - y).
    void (*scaled_difference)(const float *x, const float *y, float scale, float *out, int64_t count);
    /// The largest of x and of y, the sums of exp(x - largest) and exp(y - largest), and that of
    /// exp(y - largest) · (y - x).
    void (*divergence)(const float *x, const float *y, int64_t count, float results[5]);
    /// x = scale · exp(x - x_shift) - y_scale · exp(y - y_shift), without the second term where y is NULL.
    void (*softmax_gradient)(
        float *x, float scale, float x_shift, const float *y, float y_scale, float y_shift, int64_t count);

    // optimiser.inc
    void (*adam_w)(const struct moult_adam_w *step, int64_t begin, int64_t end);

    // rows.inc
    void (*norm)(const struct moult_norm *norm, const float *x, float *out, int64_t rows);
    /// `direction` is 1, or -1 for the inverse rotation.
    void (*rope)(
        const float *x, const float *cosines, const float *sines, float direction, float *out, int64_t heads,
        int64_t dim);
    /// The largest of x and the sum of exp(x - largest).
    void (*log_sum_exp)(const float *x, int64_t count, float *largest, float *sum);

    // sampling.inc: as include/moult_sampling.h says.
    bool (*largest)(const float *scores, int64_t count, int64_t *place, float *value);
    void (*sampling_weights)(const float *scores, float shift, float temperature, float *out, int64_t count);
    void (*tally)(
        const float *scores, const float *weights, float threshold, int64_t count, int64_t *found, double *mass);
    int64_t (*places)(
        const float *scores, float lower, float upper, int64_t count, int32_t *places, int64_t limit);

    // few_rows.inc: out (rows, stride) for weight rows [0, outputs); rows is at most moult_few_rows.
    void (*few_rows)(
        const float *x, int64_t rows, int64_t inputs, const void *weight, enum moult_type type, const float *bias,
        int64_t outputs, float *out, int64_t stride);

    // grouped.inc
    /// Rounds `rows` rows of x (rows, inputs) to int8 by groups of 32; scales and sums are (rows, inputs / 32).
    void (*round_rows)(const float *x, int64_t rows, int64_t inputs, int8_t *codes, float *scales, float *sums);
    /// out[r][o] (+)= x[r] · weight[o] for tile rows [first, last) of a q8 or q4 weight of `inputs` inputs and `outputs`
    /// outputs (the last tile row may be partial: out is never written beyond `outputs`).
    void (*grouped_rows)(
        const struct moult_grouped *x, int64_t rows, const void *weight, enum moult_type type, int64_t inputs,
        int64_t outputs, int64_t first, int64_t last, const float *bias, float *out, int64_t stride, bool accumulate);
    /// Row `output` of a grouped weight of `inputs` inputs, as floats.
    void (*widen_row)(const void *weight, enum moult_type type, int64_t inputs, int64_t output, float *out);

    // quantise.inc: `scratch` holds quantise_scratch floats, 64-byte aligned.
    int64_t (*quantise_scratch)(int64_t inputs);
    /// Rounds the outputs of one tile row and writes their sums.
    void (*quantise_tile_row)(const struct moult_quantise *job, int64_t tile, float *scratch);
    /// target -= the first `rows` rows of `panel` · D · (the panel's rows of group `group`)ᵀ, with D = `importance`.
    void (*feedback_update)(
        const float *panel, const float *importance, float *target, int64_t group, int64_t rows);

    // dense.inc: `scratch` holds moult_dense_scratch bytes, 64-byte aligned.
    void (*dense)(const struct moult_dense *x, float *scratch);

    // attention.inc; the functions named ..._scratch say how many floats of scratch the next one needs.
    int64_t (*attention_scratch)(const struct moult_attention *job, int64_t tokens);
    int64_t (*attention_partial)(const struct moult_attention *job, int64_t tokens);
    void (*attention)(
        const struct moult_attention *job, int64_t batch, int64_t head, int64_t begin, int64_t end, int64_t first_key,
        int64_t last_key, float *scratch, float *partial);

    // attention_backward.inc: a range goes through its queries by blocks of `tokens`. Sums take `..._row` floats a key.
    int64_t (*attention_backward_row)(const struct moult_attention *job);
    int64_t (*attention_backward_scratch)(const struct moult_attention *job, int64_t tokens);
    void (*attention_backward)(
        const struct moult_attention_backward *job, const struct moult_attention_range *range, int64_t tokens,
        float *scratch);
    /// Adds up the sums of `count` ranges of one head for keys [begin, end).
    void (*attention_collect)(
        const struct moult_attention_backward *job, const struct moult_attention_range *ranges, int64_t count,
        int64_t begin, int64_t end);

    // gated_slot_attention.inc
    int64_t (*slot_recurrent_scratch)(const struct moult_gated_slot_attention *job);
    void (*slot_recurrent)(const struct moult_gated_slot_attention *job, int64_t batch, int64_t head, float *scratch);
    int64_t (*slot_span_scratch)(const struct moult_gated_slot_attention *job);
    void (*slot_span)(
        const struct moult_gated_slot_attention *job, int64_t batch, int64_t head, int64_t begin, int64_t end,
        const float *boundary, float *scratch);
    int64_t (*slot_advance_scratch)(const struct moult_gated_slot_attention *job);
    void (*slot_advance)(
        const struct moult_gated_slot_attention *job, int64_t batch, int64_t head, int64_t begin, int64_t end,
        int64_t slot, int64_t count, float *boundaries, float *scratch);
    int64_t (*slot_boundary)(const struct moult_gated_slot_attention *job);
    void (*slot_load_boundary)(
        const struct moult_gated_slot_attention *job, int64_t batch, int64_t head, float *boundary);
    void (*slot_store_boundary)(
        const struct moult_gated_slot_attention *job, int64_t batch, int64_t head, const float *boundary);

    // gated_slot_attention_backward.inc
    int64_t (*slot_trace)(const struct moult_gated_slot_attention *job);
    int64_t (*slot_recall_scratch)(const struct moult_gated_slot_attention *job);
    void (*slot_recall)(
        const struct moult_gated_slot_attention_backward *job, int64_t batch, int64_t head, int64_t begin, int64_t end,
        const float *boundary, float *trace, float *scratch);
    int64_t (*slot_return_scratch)(const struct moult_gated_slot_attention *job);
    void (*slot_return)(
        const struct moult_gated_slot_attention_backward *job, int64_t batch, int64_t head, int64_t begin, int64_t end,
        const float *boundary, const float *trace, float *adjoint, float *scratch);
    int64_t (*slot_adjoint)(const struct moult_gated_slot_attention *job);
    void (*slot_load_adjoint)(
        const struct moult_gated_slot_attention_backward *job, int64_t batch, int64_t head, float *adjoint);
    void (*slot_store_adjoint)(
        const struct moult_gated_slot_attention_backward *job, int64_t batch, int64_t head, const float *adjoint);
};

/// Tokens between the states that the chunked form of gated slot attention stores.
enum { moult_slot_chunk = 64 };

enum { moult_few_rows = 8, moult_dense_scratch = 1 << 16 };

/// The chosen set.
const struct moult_kernels *moult_kernels(void);

/// Fewest keys that are worth a task of their own.
enum { attention_split_keys = 256 };
/// Joins what `splits` ranges of keys made of one of `rows` rows: each weighted by exp(its maximum - the common maximum).
/// `step` floats lie between the results of two ranges, `stride` between the outputs of two rows; out is (values).
void attention_merge(
    const float *partials, int64_t splits, int64_t step, int64_t rows, int64_t stride, int64_t row, float *out, int64_t values);

/// `bytes` of 64-byte aligned memory that belongs to the calling thread until its next call; NULL when there is none.
/// For leaf code only: not to be held across moult_parallel_for.
void *moult_scratch(size_t bytes);

/// The same for memory that a call's tasks share: to be held across moult_parallel_for by the calling thread.
void *moult_call_scratch(size_t bytes);

#endif
