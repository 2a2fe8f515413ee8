#ifndef MOULT_ATTENTION_RANGES_H
#define MOULT_ATTENTION_RANGES_H

#include <stdint.h>

#include "include/moult_attention.h"

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

/// Fewest keys that are worth a task of their own.
enum { attention_split_keys = 256 };
/// Joins what `splits` ranges of keys made of one of `rows` rows: each weighted by exp(its maximum - the common maximum).
/// `step` floats lie between the results of two ranges, `stride` between the outputs of two rows; out is (values).
void attention_merge(
    const float *partials, int64_t splits, int64_t step, int64_t rows, int64_t stride, int64_t row, float *out, int64_t values);

#endif
