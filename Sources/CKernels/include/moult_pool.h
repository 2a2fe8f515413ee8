#ifndef MOULT_POOL_H
#define MOULT_POOL_H

#include <stdint.h>

/// Work on the half-open range [begin, end). `thread` is below moult_thread_count(); two calls of one
/// moult_parallel_for never run at the same time with the same `thread`.
typedef void (*moult_body)(void *context, int64_t begin, int64_t end, int thread);

/// Calls `body` on chunks of at least `grain` (the last may be smaller) that cover [0, count) once, on the calling
/// thread and the pool's workers, and returns when all are done. Runs on the calling thread alone when there is
/// nothing to share, when called from inside a body, or while another thread uses the pool. Scratch memory indexed
/// by `thread` must therefore belong to the call, not to the process.
void moult_parallel_for(int64_t count, int64_t grain, moult_body body, void *context);

/// Threads that moult_parallel_for may use, the caller included: the process's cores, or MOULT_THREADS.
int moult_thread_count(void);

/// The most that are used by default: the processors that the process may use, at most 256.
int moult_thread_limit(void);

/// Sets the number of threads; values below 1 mean the default.
void moult_set_threads(int count);

#endif
