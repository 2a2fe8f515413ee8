// Kernels element by element and row by row: KERNEL(name, result, parameters) for each, read by instruction_sets.

// elementwise.inc
KERNEL(add, void, (const float *x, const float *y, float *out, int64_t count))
KERNEL(scale, void, (const float *x, float factor, float *out, int64_t count))
/// out = cap · tanh(x / cap).
KERNEL(cap, void, (const float *x, float cap, float *out, int64_t count))
KERNEL(log_gate, void, (const float *x, float divisor, float *out, int64_t count))
KERNEL(mix, void, (const float *x, const float *y, const float *logits, float *out, int64_t rows, int64_t dim))

// elementwise_backward.inc
KERNEL(add_scaled, void, (const float *x, float scale, float *y, int64_t count))
/// gradient *= the slope of `cap` where it gave `capped`.
KERNEL(cap_backward, void, (const float *capped, float cap, float *gradient, int64_t count))
KERNEL(log_gate_backward, void, (const float *gradient, const float *x, float divisor, float *out, int64_t count))
KERNEL(mix_backward, void, (
    const float *gradient, const float *x, const float *y, const float *logits, float *x_out, float *y_out,
    float *logits_out, int64_t rows, int64_t dim))
/// Adds the sums of `columns` columns of x (rows, stride) to `sums`.
KERNEL(column_sums, void, (const float *x, int64_t rows, int64_t stride, float *sums, int64_t columns))
/// Replaces `weight_sums` (dim).
KERNEL(norm_backward, void, (
    const struct moult_norm *norm, const float *gradient, const float *x, float *out, float *weight_sums,
    int64_t rows))

// activations.inc
KERNEL(activated, void, (enum moult_activation activation, const float *x, float *out, int64_t count))
KERNEL(gated, void, (
    enum moult_activation activation, const float *gate, const float *up, float *out, int64_t count))
KERNEL(activated_backward, void, (
    enum moult_activation activation, const float *gradient, const float *x, float *out, int64_t count))
KERNEL(gated_backward, void, (
    enum moult_activation activation, const float *gradient, const float *gate, const float *up, float *gate_out,
    float *up_out, int64_t count))

// rows.inc
KERNEL(norm, void, (const struct moult_norm *norm, const float *x, float *out, int64_t rows))
/// x / sqrt(the sum of squares + epsilon).
KERNEL(l2_norm, void, (const float *x, float epsilon, float *out, int64_t rows, int64_t dim))
KERNEL(l2_norm_backward, void, (
    const float *gradient, const float *x, float epsilon, float *out, int64_t rows, int64_t dim))
/// `direction` is 1, or -1 for the inverse rotation.
KERNEL(rope, void, (
    const float *x, const float *cosines, const float *sines, float direction, float *out, int64_t heads,
    int64_t dim))

// pointwise.inc
/// Runs the steps over `count` elements of each place.
KERNEL(pointwise, void, (
    const struct moult_pointwise_step *step, int64_t steps, float *const *places, int64_t count))
KERNEL(row_sum, float, (const float *x, int64_t count))

// convolution.inc
/// out = bias + the sum of the `width` rows times the rows of weights (width, stride), over `count` columns; `bias` may
/// be NULL.
KERNEL(convolve, void, (
    const float *const *rows, const float *weights, int64_t stride, const float *bias, float *out, int64_t width,
    int64_t count))
/// Row j of sums (width + 1, count) += gradient · row j, and the last += gradient.
KERNEL(convolve_sums, void, (
    const float *const *rows, const float *gradient, float *sums, int64_t width, int64_t count))
