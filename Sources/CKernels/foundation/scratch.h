#ifndef MOULT_SCRATCH_H
#define MOULT_SCRATCH_H

#include <stddef.h>

/// `bytes` of 64-byte aligned memory that belongs to the calling thread until its next call; NULL when there is none.
/// For leaf code only: not to be held across moult_parallel_for.
void *moult_scratch(size_t bytes);

/// The same for memory that a call's tasks share: to be held across moult_parallel_for by the calling thread.
void *moult_call_scratch(size_t bytes);

#endif
