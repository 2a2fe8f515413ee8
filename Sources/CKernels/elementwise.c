#include "include/moult_elementwise.h"

#include "include/moult_pool.h"
#include "kernels.h"

/// Elements per chunk: enough work to pay for a hand-off.
enum { grain = 16384 };

struct binary {
    const float *x, *y;
    float *out;
};

static void add_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct binary *job = context;
    moult_kernels()->add(job->x + begin, job->y + begin, job->out + begin, end - begin);
}

void moult_add(const float *x, const float *y, float *out, int64_t count) {
    struct binary job = {x, y, out};
    moult_parallel_for(count, grain, add_body, &job);
}
