#ifndef MOULT_SCRATCH_H
#define MOULT_SCRATCH_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/// `bytes` of 64-byte aligned memory that belongs to the calling thread until its next call; NULL when there is none.
/// For leaf code only: not to be held across moult_parallel_for.
void *moult_scratch(size_t bytes);

/// moult_scratch for `count` floats of a task; where there are none, their bytes are left in `missing`.
float *moult_task_scratch(int64_t count, atomic_size_t *missing);

/// The same for memory that a call's tasks share: to be held across moult_parallel_for by the calling thread.
void *moult_call_scratch(size_t bytes);

#endif
