#include "include/moult_general_delta.h"

#include <stdatomic.h>

#include "foundation/numbers.h"
#include "foundation/scratch.h"
#include "include/moult_pool.h"
#include "instruction_sets/kernels.h"

enum {
    parallel_work = 1 << 14,  // multiplications worth a hand-off to other threads
    column_part = 64,         // columns of a task
};

struct run {
    const struct moult_general_delta *job;
    const struct moult_general_delta_backward *backward;  // NULL on the way there
    const struct moult_kernels *kernels;
    int64_t parts, width;   // of a head's columns
    atomic_size_t missing;  // bytes of scratch that could not be had
};

static float *task_scratch(struct run *run, int64_t count) {
    const size_t needed = (size_t)count * sizeof(float);
    float *scratch = moult_scratch(needed);
    if (!scratch) atomic_store(&run->missing, needed);
    return scratch;
}

static void step_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    const struct moult_general_delta *job = run->job;
    float *scratch = task_scratch(run, run->kernels->general_delta_step_scratch(job));
    for (int64_t task = begin; scratch && task < end; task++) {
        const int64_t head = task / run->parts, column = task % run->parts * run->width;
        run->kernels->general_delta_steps(
            job, head / job->key_value_heads, head % job->key_value_heads, column,
            least(run->width, job->value_dim - column), scratch);
    }
}

static void return_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    float *scratch = task_scratch(run, run->kernels->general_delta_backward_scratch(run->job));
    for (int64_t head = begin; scratch && head < end; head++) {
        run->kernels->general_delta_backward(
            run->backward, head / run->job->key_value_heads, head % run->job->key_value_heads, scratch);
    }
}

size_t moult_general_delta(const struct moult_general_delta *job) {
    const int64_t heads = job->batch * job->key_value_heads;
    if (heads == 0 || job->tokens == 0 || job->value_dim == 0) return 0;
    struct run run = {.job = job, .kernels = moult_kernels(), .parts = 1, .width = job->value_dim};
    if (heads < moult_thread_count()) {
        run.width = column_part;
        run.parts = divide_up(job->value_dim, column_part);
    }
    const int64_t work = heads * job->tokens * job->key_dim * job->value_dim;
    moult_parallel_for(heads * run.parts, work < parallel_work ? heads * run.parts : 1, step_body, &run);
    return atomic_load(&run.missing);
}

size_t moult_general_delta_backward(const struct moult_general_delta_backward *job) {
    struct run run = {.job = &job->forward, .backward = job, .kernels = moult_kernels()};
    moult_parallel_for(job->forward.batch * job->forward.key_value_heads, 1, return_body, &run);
    return atomic_load(&run.missing);
}
