#ifndef MOULT_SAMPLING_H
#define MOULT_SAMPLING_H

#include <stdbool.h>
#include <stdint.h>

// Choosing among `count` scores, on the calling thread: one vocabulary is too small to share.

/// The place and the value of the first largest score; false when one is not finite, or there is none.
bool moult_largest(const float *scores, int64_t count, int64_t *place, float *value);

/// out = exp((score - shift) / temperature)
void moult_sampling_weights(const float *scores, float shift, float temperature, float *out, int64_t count);

/// How many scores are at least `threshold`, and what they weigh together.
void moult_tally(
    const float *scores, const float *weights, float threshold, int64_t count, int64_t *found, double *mass);

/// The places, ascending, of scores in [lower, upper), of which there are at most `limit`. Returns how many.
int64_t moult_places(const float *scores, float lower, float upper, int64_t count, int32_t *places, int64_t limit);

#endif
