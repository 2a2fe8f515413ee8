#include "include/moult_memory.h"

#include <stdatomic.h>

#include "body.h"

enum { page = 4096, pages_per_chunk = 64 };

struct reading {
    const char *memory;
    _Atomic uint64_t sum;
};

BODY(read_body) {
    struct reading *job = context;
    (void)thread;
    uint64_t sum = 0;
    for (int64_t at = begin; at < end; at++) sum += moult_kernels()->read_page(job->memory + at * page);
    atomic_fetch_add(&job->sum, sum);
}

uint64_t moult_read_memory(const void *memory, int64_t bytes) {
    struct reading job = {.memory = memory};
    moult_parallel_for(bytes / page, pages_per_chunk, read_body, &job);
    return atomic_load(&job.sum);
}
