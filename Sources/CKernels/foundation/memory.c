#include "include/moult_memory.h"

#include <stdatomic.h>

#include "foundation/body.h"

enum { pages_per_chunk = 64 };

struct reading {
    const struct moult_region *regions;
    int64_t count;
    _Atomic uint64_t sum;
};

static int64_t pages_of(const struct moult_region *region) { return region->bytes / moult_page_bytes; }

/// `begin` and `end` count pages over all regions.
BODY(read_body) {
    struct reading *job = context;
    (void)thread;
    uint64_t sum = 0;
    for (int64_t r = 0, first = 0; r < job->count && first < end; first += pages_of(&job->regions[r++])) {
        const struct moult_region *region = &job->regions[r];
        const int64_t last = end - first < pages_of(region) ? end - first : pages_of(region);
        for (int64_t page = begin > first ? begin - first : 0; page < last; page++) {
            sum += moult_kernels()->read_page((const char *)region->memory + page * moult_page_bytes);
        }
    }
    atomic_fetch_add(&job->sum, sum);
}

uint64_t moult_read_memory(const struct moult_region *regions, int64_t count) {
    struct reading job = {.regions = regions, .count = count};
    int64_t pages = 0;
    for (int64_t r = 0; r < count; r++) pages += pages_of(&regions[r]);
    moult_parallel_for(pages, pages_per_chunk, read_body, &job);
    return atomic_load(&job.sum);
}
