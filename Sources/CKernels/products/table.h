// The kernels of products: KERNEL(name, result, parameters) for each, read by instruction_sets.

// few_rows.inc: out (rows, stride) for weight rows [0, outputs); rows is at most moult_few_rows.
KERNEL(few_rows, void, (
    const float *x, int64_t rows, int64_t inputs, const void *weight, enum moult_type type, const float *bias,
    int64_t outputs, float *out, int64_t stride))

// grouped.inc
/// Rounds `rows` rows of x (rows, inputs) to int8 by groups of 32; scales and sums are (rows, inputs / 32).
KERNEL(round_rows, void, (const float *x, int64_t rows, int64_t inputs, int8_t *codes, float *scales, float *sums))
/// out[r][o] (+)= x[r] · weight[o] for tile rows [first, last) of a q8 or q4 weight of `inputs` inputs and `outputs`
/// outputs (the last tile row may be partial: out is never written beyond `outputs`).
KERNEL(grouped_rows, void, (
    const struct moult_grouped *x, int64_t rows, const void *weight, enum moult_type type, int64_t inputs,
    int64_t outputs, int64_t first, int64_t last, const float *bias, float *out, int64_t stride, bool accumulate))
/// Row `output` of a grouped weight of `inputs` inputs, as floats.
KERNEL(widen_row, void, (const void *weight, enum moult_type type, int64_t inputs, int64_t output, float *out))

// quantise.inc: `scratch` holds quantise_scratch floats, 64-byte aligned.
KERNEL(quantise_scratch, int64_t, (int64_t inputs))
/// Rounds the outputs of one tile row and writes their sums.
KERNEL(quantise_tile_row, void, (const struct moult_quantise *job, int64_t tile, float *scratch))
/// target -= the first `rows` rows of `panel` · D · (the panel's rows of group `group`)ᵀ, with D = `importance`.
KERNEL(feedback_update, void, (
    const float *panel, const float *importance, float *target, int64_t group, int64_t rows))

// dense.inc: `scratch` holds moult_dense_scratch bytes, 64-byte aligned.
KERNEL(dense, void, (const struct moult_dense *x, float *scratch))
