#include "include/moult_sampling.h"

#include "instruction_sets/kernels.h"

bool moult_largest(const float *scores, int64_t count, int64_t *place, float *value) {
    return moult_kernels()->largest(scores, count, place, value);
}

void moult_sampling_weights(const float *scores, float shift, float temperature, float *out, int64_t count) {
    moult_kernels()->sampling_weights(scores, shift, temperature, out, count);
}

void moult_tally(
    const float *scores, const float *weights, float threshold, int64_t count, int64_t *found, double *mass
) {
    moult_kernels()->tally(scores, weights, threshold, count, found, mass);
}

int64_t moult_places(const float *scores, float lower, float upper, int64_t count, int32_t *places, int64_t limit) {
    return moult_kernels()->places(scores, lower, upper, count, places, limit);
}
