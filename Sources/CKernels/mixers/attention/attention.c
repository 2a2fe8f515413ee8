#include "include/moult_attention.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "foundation/scratch.h"
#include "include/moult_pool.h"
#include "instruction_sets/kernels.h"

enum {
    block_rows = 96,      // rows of queries, over all heads of a group, that share one pass over the keys
    block_tokens = 64,    // and at most so many tokens, to waste little above the diagonal
    cached_keys = 512,    // so many keys of all heads pass through the cache before the next
    parallel_work = 1 << 15,  // multiplications worth a hand-off to other threads
};

struct plan {
    const struct moult_attention *job;
    const struct moult_kernels *kernels;
    int64_t tokens, blocks;           // queries per block, blocks per key/value head
    int64_t splits, keys_per_split;   // ranges of keys per block
    float *partials;                  // a result per task when there are several splits
    int64_t partial_size;
    atomic_size_t missing;  // bytes of scratch that could not be had
};

static void run_tasks(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct plan *plan = context;
    const struct moult_attention *job = plan->job;
    float *scratch = moult_task_scratch(plan->kernels->attention_scratch(job, plan->tokens), &plan->missing);
    if (!scratch) return;
    const int64_t heads = job->batch * job->key_value_heads;
    for (int64_t task = begin; task < end; task++) {
        // Heads innermost, for they lie side by side in memory. Long blocks, those of late queries, first: the short ones
        // then even out the threads.
        const int64_t head = task % heads, split = task / heads % plan->splits;
        const int64_t block = plan->blocks - 1 - task / heads / plan->splits;
        const int64_t first = block * plan->tokens, rest = job->queries - first;
        const int64_t last = first + (rest < plan->tokens ? rest : plan->tokens);
        const bool whole = plan->splits == 1;
        plan->kernels->attention_block(
            job, head / job->key_value_heads, head % job->key_value_heads, first, last,
            whole ? 0 : split * plan->keys_per_split, whole ? job->keys : (split + 1) * plan->keys_per_split, scratch,
            whole ? NULL : plan->partials + task * plan->partial_size);
    }
}

void attention_merge(
    const float *partials, int64_t splits, int64_t step, int64_t rows, int64_t stride, int64_t row, float *out, int64_t values
) {
    float largest = -INFINITY, sum = 0;
    for (int64_t split = 0; split < splits; split++) {
        largest = fmaxf(largest, partials[split * step + rows * stride + row]);
    }
    memset(out, 0, (size_t)values * sizeof(float));
    for (int64_t split = 0; split < splits; split++) {
        const float *partial = partials + split * step, *peaks = partial + rows * stride;
        if (peaks[rows + row] == 0) continue;
        const float weight = expf(peaks[row] - largest);
        sum += weight * peaks[rows + row];
        for (int64_t i = 0; i < values; i++) out[i] += weight * partial[row * stride + i];
    }
    for (int64_t i = 0; i < values; i++) out[i] /= sum;
}

/// Joins the partial results of one block. `step` floats lie between the results of two splits.
static void merge(const struct plan *plan, int64_t head, int64_t block, const float *partials, int64_t step) {
    const struct moult_attention *job = plan->job;
    const int64_t group = job->heads / job->key_value_heads, batch = head / job->key_value_heads;
    const int64_t first = block * plan->tokens, rest = job->queries - first;
    const int64_t rows = (rest < plan->tokens ? rest : plan->tokens) * group;
    const int64_t stride = (plan->partial_size - 2 * plan->tokens * group) / (plan->tokens * group);
    for (int64_t r = 0; r < rows; r++) {
        float *out = job->out
            + ((batch * job->queries + first + r / group) * job->heads
               + head % job->key_value_heads * group + r % group) * job->value_dim;
        attention_merge(partials, plan->splits, step, rows, stride, r, out, job->value_dim);
    }
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

size_t moult_attention(const struct moult_attention *job) {
    if (job->batch == 0 || job->queries == 0 || job->heads == 0 || job->value_dim == 0) return 0;
    const int64_t group = job->heads / job->key_value_heads, heads = job->batch * job->key_value_heads;
    const int64_t threads = moult_thread_count();
    struct plan plan = {.job = job, .kernels = moult_kernels(), .splits = 1};

    // A window shorter than a block would be mostly masked.
    int64_t tokens = least(block_rows / group, block_tokens);
    if (tokens > job->window / 2) tokens = job->window / 2;
    if (tokens < 16) tokens = 16;
    if (tokens * group > block_rows) tokens = block_rows / group;
    plan.tokens = tokens < 1 ? 1 : least(tokens, job->queries);
    plan.blocks = (job->queries + plan.tokens - 1) / plan.tokens;

    const int64_t visible = least(job->keys, job->window + plan.tokens), tasks = heads * plan.blocks;
    const int64_t work = tasks * plan.tokens * group * visible * (job->key_dim + job->value_dim);
    if (tasks < 4 * threads && job->window >= job->keys && job->keys >= 2 * attention_split_keys) {
        plan.splits = (4 * threads + tasks - 1) / tasks;
        if (plan.splits < job->keys / cached_keys) plan.splits = job->keys / cached_keys;
        plan.splits = least(plan.splits, job->keys / attention_split_keys);
        plan.keys_per_split = (job->keys + plan.splits - 1) / plan.splits;
        plan.partial_size = plan.kernels->attention_partial(job, plan.tokens);
        const size_t needed = (size_t)(tasks * plan.splits * plan.partial_size) * sizeof(float);
        plan.partials = moult_call_scratch(needed);
        if (!plan.partials) return needed;
    }
    const int64_t count = tasks * plan.splits;
    moult_parallel_for(count, work < parallel_work ? count : 1, run_tasks, &plan);
    const size_t missing = atomic_load(&plan.missing);
    for (int64_t task = 0; missing == 0 && plan.splits > 1 && task < tasks; task++) {
        const int64_t head = task % heads, block = task / heads;
        merge(
            &plan, head, plan.blocks - 1 - block,
            plan.partials + (block * plan.splits * heads + head) * plan.partial_size, heads * plan.partial_size);
    }
    return missing;
}
