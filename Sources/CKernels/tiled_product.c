#include <stdatomic.h>

#include "include/moult_pool.h"
#include "product.h"

struct tiling {
    const struct moult_dense *x;
    int64_t rows, columns;
    atomic_bool failed;
};

/// Tiles go down the rows first.
static void tiling_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct tiling *tiling = context;
    float *scratch = moult_scratch(moult_dense_scratch);
    if (!scratch) {
        atomic_store(&tiling->failed, true);
        return;
    }
    int64_t down = divide_up(tiling->x->rows, tiling->rows);
    for (int64_t t = begin; t < end; t++) {
        struct moult_dense tile = tile_of(
            *tiling->x, t % down * tiling->rows, tiling->rows, t / down * tiling->columns, tiling->columns);
        compute_product(&tile, scratch);
    }
}

bool moult_tiled_product(const struct moult_dense *x, int64_t rows, int64_t columns) {
    struct tiling tiling = {x, rows, columns, false};
    moult_parallel_for(divide_up(x->rows, rows) * divide_up(x->columns, columns), 1, tiling_body, &tiling);
    return !atomic_load(&tiling.failed);
}
