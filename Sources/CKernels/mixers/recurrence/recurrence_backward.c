#include <stdatomic.h>
#include <stdlib.h>

#include "foundation/numbers.h"
#include "foundation/scratch.h"
#include "include/moult_pool.h"
#include "include/moult_recurrence.h"
#include "instruction_sets/kernels.h"

enum {
    stored_floats = 1 << 22,  // of the states of one head that a thread holds at once
    fewest_stored = 16,
};

struct run {
    const struct moult_recurrence_backward *job;
    const struct moult_kernels *kernels;
    int64_t *starts;         // of blocks
    int64_t blocks, stored;  // those whose states are there at once
    atomic_size_t missing;   // bytes of scratch that could not be had
};

static void head_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    const struct moult_recurrence *forward = &run->job->forward;
    float *scratch = moult_task_scratch(
        run->kernels->recurrence_backward_scratch(forward, run->blocks, run->stored), &run->missing);
    for (int64_t head = begin; scratch && head < end; head++) {
        run->kernels->recurrence_backward(
            run->job, head / forward->key_value_heads, head % forward->key_value_heads, run->starts, run->blocks,
            run->stored, scratch);
    }
}

size_t moult_recurrence_backward(const struct moult_recurrence_backward *job) {
    const struct moult_recurrence *forward = &job->forward;
    const struct moult_kernels *kernels = moult_kernels();
    struct run run = {.job = job, .kernels = kernels, .blocks = kernels->recurrence_blocks(forward, NULL)};
    const size_t needed = (size_t)(run.blocks + 1) * sizeof(int64_t);
    run.starts = moult_call_scratch(needed);
    if (!run.starts) return needed;
    kernels->recurrence_blocks(forward, run.starts);
    const int64_t fitting = stored_floats / kernels->recurrence_trace(forward);
    run.stored = least(run.blocks > 0 ? run.blocks : 1, fitting > fewest_stored ? fitting : fewest_stored);
    moult_parallel_for(forward->batch * forward->key_value_heads, 1, head_body, &run);
    return atomic_load(&run.missing);
}
