// The kernels of losses and sampling: KERNEL(name, result, parameters) for each, read by instruction_sets.

// losses.inc
/// The largest of x and the sum of exp(x - largest).
KERNEL(log_sum_exp, void, (const float *x, int64_t count, float *largest, float *sum))
KERNEL(sum_of_squares, double, (const float *x, int64_t count))
/// The sum of (x - y)².
KERNEL(squared_distance, double, (const float *x, const float *y, int64_t count))
/// out = scale · (x - y).
KERNEL(scaled_difference, void, (const float *x, const float *y, float scale, float *out, int64_t count))
/// The largest of x and of y, the sums of exp(x - largest) and exp(y - largest), and that of
/// exp(y - largest) · (y - x).
KERNEL(divergence, void, (const float *x, const float *y, int64_t count, float results[5]))
/// x = scale · exp(x - x_shift) - y_scale · exp(y - y_shift), without the second term where y is NULL.
KERNEL(softmax_gradient, void, (
    float *x, float scale, float x_shift, const float *y, float y_scale, float y_shift, int64_t count))

// sampling.inc: as include/moult_sampling.h says.
KERNEL(largest, bool, (const float *scores, int64_t count, int64_t *place, float *value))
KERNEL(sampling_weights, void, (const float *scores, float shift, float temperature, float *out, int64_t count))
KERNEL(tally, void, (
    const float *scores, const float *weights, float threshold, int64_t count, int64_t *found, double *mass))
KERNEL(places, int64_t, (
    const float *scores, float lower, float upper, int64_t count, int32_t *places, int64_t limit))
