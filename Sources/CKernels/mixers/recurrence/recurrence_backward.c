#include <stdatomic.h>
#include <string.h>

#include "foundation/scratch.h"
#include "include/moult_pool.h"
#include "include/moult_recurrence.h"
#include "instruction_sets/kernels.h"

struct run {
    const struct moult_recurrence_backward *job;
    const struct moult_kernels *kernels;
    atomic_size_t missing;  // bytes of scratch that could not be had
};

static void head_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    const struct moult_recurrence *forward = &run->job->forward;
    const size_t needed = (size_t)run->kernels->recurrence_backward_scratch(forward) * sizeof(float);
    float *scratch = moult_scratch(needed);
    if (!scratch) atomic_store(&run->missing, needed);
    for (int64_t head = begin; scratch && head < end; head++) {
        run->kernels->recurrence_backward(
            run->job, head / forward->key_value_heads, head % forward->key_value_heads, scratch);
    }
}

size_t moult_recurrence_backward(const struct moult_recurrence_backward *job) {
    struct run run = {.job = job, .kernels = moult_kernels()};
    moult_parallel_for(job->forward.batch * job->forward.key_value_heads, 1, head_body, &run);
    return atomic_load(&run.missing);
}
