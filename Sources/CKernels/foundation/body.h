#ifndef MOULT_BODY_H
#define MOULT_BODY_H

#include "include/moult_pool.h"
#include "instruction_sets/kernels.h"

// Bodies of moult_parallel_for, and how much work pays for a hand-off.

/// Elements per chunk.
enum { grain = 16384, costly_grain = 4096 };

static inline int64_t rows_per_chunk(int64_t dim) { return dim > 0 && dim < costly_grain ? costly_grain / dim : 1; }

#define BODY(name) static void name(void *context, int64_t begin, int64_t end, int thread)
#define JOB(type) const struct type *job = context; (void)thread

#endif
