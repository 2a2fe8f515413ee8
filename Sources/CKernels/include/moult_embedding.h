#ifndef MOULT_EMBEDDING_H
#define MOULT_EMBEDDING_H

#include <stdint.h>

#include "moult_types.h"

/// Row ids[i] of `table` (…, dim), of any type, widened, for each i.
void moult_embedding(
    const int32_t *ids, int64_t count, const void *table, enum moult_type type, int64_t dim, float *out);

// MARK: The gradient

/// Row ids[i] of table (…, dim) += row i of gradient, for each i.
void moult_embedding_backward(const float *gradient, const int32_t *ids, int64_t count, int64_t dim, float *table);

#endif
