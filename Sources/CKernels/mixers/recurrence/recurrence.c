#include "include/moult_recurrence.h"

#include <stdatomic.h>
#include <string.h>

#include "foundation/scratch.h"
#include "include/moult_pool.h"
#include "instruction_sets/kernels.h"
#include "mixers/recurrence/columns.h"

enum {
    blocked_tokens = 8,       // fewest tokens for which matrix products pay
};

struct run {
    const struct moult_recurrence *job;
    const struct moult_kernels *kernels;
    struct moult_column_parts parts;
    atomic_size_t missing;  // bytes of scratch that could not be had
};

static void step_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    const struct moult_recurrence *job = run->job;
    float *scratch = moult_task_scratch(run->kernels->recurrence_step_scratch(job), &run->missing);
    for (int64_t task = begin; scratch && task < end; task++) {
        const int64_t head = task / run->parts.count, column = task % run->parts.count * run->parts.width;
        run->kernels->recurrence_steps(
            job, head / job->key_value_heads, head % job->key_value_heads, column,
            least(run->parts.width, job->value_dim - column), scratch);
    }
}

static void span_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    const struct moult_recurrence *job = run->job;
    float *scratch = moult_task_scratch(run->kernels->recurrence_span_scratch(job), &run->missing);
    for (int64_t task = begin; scratch && task < end; task++) {
        const int64_t head = task / run->parts.count, column = task % run->parts.count * run->parts.width;
        run->kernels->recurrence_span(
            job, head / job->key_value_heads, head % job->key_value_heads, column,
            least(run->parts.width, job->value_dim - column), scratch);
    }
}

size_t moult_recurrence(const struct moult_recurrence *job, enum moult_recurrence_form form) {
    if (form == moult_recurrence_automatic) {
        form = job->tokens < blocked_tokens ? moult_recurrence_stepwise : moult_recurrence_blocked;
    }
    const int64_t heads = job->batch * job->key_value_heads;
    if (heads == 0 || job->tokens == 0 || job->value_dim == 0) return 0;
    struct run run = {
        .job = job, .kernels = moult_kernels(),
        .parts = moult_column_parts(heads, job->value_dim, heads * job->tokens * job->key_dim * job->value_dim)};
    moult_parallel_for(
        run.parts.tasks, run.parts.grain, form == moult_recurrence_stepwise ? step_body : span_body, &run);
    return atomic_load(&run.missing);
}
