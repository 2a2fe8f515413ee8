#include <stdatomic.h>

#include "foundation/body.h"
#include "products/product.h"

struct job {
    const struct moult_dense *x;
    struct tiles tiles;
    atomic_bool failed;
};

static void tiles_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct job *job = context;
    float *scratch = moult_scratch(moult_dense_scratch);
    if (!scratch) atomic_store(&job->failed, true);
    for (int64_t t = begin; scratch && t < end; t++) compute_tile(job->x, job->tiles, t, scratch);
}

bool moult_dense_product(const struct moult_dense *x) {
    struct job job = {x, tiles_of(x), false};
    moult_parallel_for(job.tiles.count, 1, tiles_body, &job);
    return !atomic_load(&job.failed);
}
