#include "include/moult_recurrence.h"

#include <stdatomic.h>
#include <string.h>

#include "foundation/numbers.h"
#include "foundation/scratch.h"
#include "include/moult_pool.h"
#include "instruction_sets/kernels.h"

enum {
    blocked_tokens = 8,       // fewest tokens for which matrix products pay
    parallel_work = 1 << 14,  // multiplications worth a hand-off to other threads
    column_part = 64,         // columns of a task: as many as the widest kernel takes at once
};

struct run {
    const struct moult_recurrence *job;
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
    const struct moult_recurrence *job = run->job;
    float *scratch = task_scratch(run, run->kernels->recurrence_step_scratch(job));
    for (int64_t task = begin; scratch && task < end; task++) {
        const int64_t head = task / run->parts, column = task % run->parts * run->width;
        run->kernels->recurrence_steps(
            job, head / job->key_value_heads, head % job->key_value_heads, column,
            least(run->width, job->value_dim - column), scratch);
    }
}

static void span_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    const struct moult_recurrence *job = run->job;
    float *scratch = task_scratch(run, run->kernels->recurrence_span_scratch(job));
    for (int64_t task = begin; scratch && task < end; task++) {
        const int64_t head = task / run->parts, column = task % run->parts * run->width;
        run->kernels->recurrence_span(
            job, head / job->key_value_heads, head % job->key_value_heads, column,
            least(run->width, job->value_dim - column), scratch);
    }
}

size_t moult_recurrence(const struct moult_recurrence *job, enum moult_recurrence_form form) {
    if (form == moult_recurrence_automatic) {
        form = job->tokens < blocked_tokens ? moult_recurrence_stepwise : moult_recurrence_blocked;
    }
    const int64_t heads = job->batch * job->key_value_heads;
    if (heads == 0 || job->tokens == 0 || job->value_dim == 0) return 0;
    struct run run = {.job = job, .kernels = moult_kernels(), .parts = 1, .width = job->value_dim};
    if (heads < moult_thread_count()) {
        run.width = column_part;
        run.parts = divide_up(job->value_dim, column_part);
    }
    const int64_t work = heads * job->tokens * job->key_dim * job->value_dim;
    moult_parallel_for(
        heads * run.parts, work < parallel_work ? heads * run.parts : 1,
        form == moult_recurrence_stepwise ? step_body : span_body, &run);
    return atomic_load(&run.missing);
}
