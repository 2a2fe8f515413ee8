// Kernels element by element and row by row: KERNEL(name, result, parameters) for each, read by instruction_sets.

// elementwise.inc
KERNEL(add, void, (const float *x, const float *y, float *out, int64_t count))
KERNEL(silu, void, (const float *x, float *out, int64_t count))
KERNEL(swiglu, void, (const float *gate, const float *up, float *out, int64_t count))
KERNEL(log_gate, void, (const float *x, float divisor, float *out, int64_t count))
KERNEL(mix, void, (const float *x, const float *y, const float *logits, float *out, int64_t rows, int64_t dim))

// elementwise_backward.inc
KERNEL(add_scaled, void, (const float *x, float scale, float *y, int64_t count))
KERNEL(silu_backward, void, (const float *gradient, const float *x, float *out, int64_t count))
KERNEL(swiglu_backward, void, (
    const float *gradient, const float *gate, const float *up, float *gate_out, float *up_out, int64_t count))
KERNEL(log_gate_backward, void, (const float *gradient, const float *x, float divisor, float *out, int64_t count))
KERNEL(mix_backward, void, (
    const float *gradient, const float *x, const float *y, const float *logits, float *x_out, float *y_out,
    float *logits_out, int64_t rows, int64_t dim))
/// Adds the sums of `columns` columns of x (rows, stride) to `sums`.
KERNEL(column_sums, void, (const float *x, int64_t rows, int64_t stride, float *sums, int64_t columns))
/// Replaces `weight_sums` (dim).
KERNEL(rms_norm_backward, void, (
    const float *gradient, const float *x, const float *weight, float epsilon, float *out, float *weight_sums,
    int64_t rows, int64_t dim))

// rows.inc
KERNEL(rms_norm, void, (const float *x, const float *weight, float epsilon, float *out, int64_t rows, int64_t dim))
/// `direction` is 1, or -1 for the inverse rotation.
KERNEL(rope, void, (
    const float *x, const float *cosines, const float *sines, float direction, float *out, int64_t heads,
    int64_t dim))
