#include "include/moult_general_delta.h"

#include <stdatomic.h>

#include "foundation/scratch.h"
#include "include/moult_pool.h"
#include "instruction_sets/kernels.h"
#include "mixers/recurrence/columns.h"

struct run {
    const struct moult_general_delta *job;
    const struct moult_general_delta_backward *backward;  // NULL on the way there
    const struct moult_kernels *kernels;
    struct moult_column_parts parts;
    atomic_size_t missing;  // bytes of scratch that could not be had
};

static void step_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    const struct moult_general_delta *job = run->job;
    float *scratch = moult_task_scratch(run->kernels->general_delta_step_scratch(job), &run->missing);
    for (int64_t task = begin; scratch && task < end; task++) {
        const int64_t head = task / run->parts.count, column = task % run->parts.count * run->parts.width;
        run->kernels->general_delta_steps(
            job, head / job->key_value_heads, head % job->key_value_heads, column,
            least(run->parts.width, job->value_dim - column), scratch);
    }
}

static void return_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    float *scratch = moult_task_scratch(run->kernels->general_delta_backward_scratch(run->job), &run->missing);
    for (int64_t head = begin; scratch && head < end; head++) {
        run->kernels->general_delta_backward(
            run->backward, head / run->job->key_value_heads, head % run->job->key_value_heads, scratch);
    }
}

size_t moult_general_delta(const struct moult_general_delta *job) {
    const int64_t heads = job->batch * job->key_value_heads;
    if (heads == 0 || job->tokens == 0 || job->value_dim == 0) return 0;
    struct run run = {
        .job = job, .kernels = moult_kernels(),
        .parts = moult_column_parts(heads, job->value_dim, heads * job->tokens * job->key_dim * job->value_dim)};
    moult_parallel_for(run.parts.tasks, run.parts.grain, step_body, &run);
    return atomic_load(&run.missing);
}

size_t moult_general_delta_backward(const struct moult_general_delta_backward *job) {
    struct run run = {.job = &job->forward, .backward = job, .kernels = moult_kernels()};
    moult_parallel_for(job->forward.batch * job->forward.key_value_heads, 1, return_body, &run);
    return atomic_load(&run.missing);
}
