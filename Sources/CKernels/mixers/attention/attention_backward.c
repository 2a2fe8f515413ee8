#include <stdatomic.h>
#include <string.h>

#include "include/moult_attention.h"
#include "foundation/scratch.h"
#include "include/moult_pool.h"
#include "instruction_sets/kernels.h"

enum {
    block_rows = 96,       // as in attention.c
    block_tokens = 64,
    most_tasks = 16,       // ranges of all heads together, so that memory for their sums stays bounded
    range_queries = 256,   // fewest queries worth sums of their own
    collected_keys = 64,   // keys of a head that are added up at once
};

struct plan {
    const struct moult_attention_backward *job;
    const struct moult_kernels *kernels;
    int64_t tokens;  // queries per block
    int64_t count;   // ranges per key/value head
    struct moult_attention_range *ranges;
    atomic_size_t missing;  // bytes of scratch that could not be had
};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void range_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct plan *plan = context;
    const struct moult_attention *forward = &plan->job->forward;
    float *scratch = moult_task_scratch(
        plan->kernels->attention_backward_scratch(forward, plan->tokens), &plan->missing);
    if (!scratch) return;
    const int64_t heads = forward->batch * forward->key_value_heads;
    for (int64_t task = begin; task < end; task++) {
        // Late ranges, which see the most keys, first: the short ones then even out the threads.
        const int64_t index = task % heads * plan->count + plan->count - 1 - task / heads;
        plan->kernels->attention_backward(plan->job, plan->ranges + index, plan->tokens, scratch);
    }
}

static void collect_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct plan *plan = context;
    const int64_t keys = plan->job->forward.keys, blocks = (keys + collected_keys - 1) / collected_keys;
    for (int64_t task = begin; task < end; task++) {
        const int64_t first = task % blocks * collected_keys;
        plan->kernels->attention_collect(
            plan->job, plan->ranges + task / blocks * plan->count, plan->count, first,
            least(first + collected_keys, keys));
    }
}

/// Range `index` of all heads', without its memory.
static struct moult_attention_range range_at(const struct plan *plan, int64_t index) {
    const struct moult_attention *forward = &plan->job->forward;
    const int64_t blocks = (forward->queries + plan->tokens - 1) / plan->tokens;
    const int64_t length = (blocks + plan->count - 1) / plan->count * plan->tokens, head = index / plan->count;
    struct moult_attention_range range = {
        .batch = head / forward->key_value_heads, .head = head % forward->key_value_heads,
        .begin = least(index % plan->count * length, forward->queries)};
    range.end = least(range.begin + length, forward->queries);
    const int64_t position = forward->keys - forward->queries;
    range.last_key = position + range.end;
    range.first_key = least(range.last_key, position + range.begin - forward->window + 1);
    if (range.first_key < 0) range.first_key = 0;
    // The sinks of the first query's document: those of later ones are among the other keys.
    range.first_sink = moult_document_start(forward, position + range.begin);
    range.sinks_end = least(range.first_sink + forward->sinks, range.first_key);
    if (range.sinks_end < range.first_sink) range.sinks_end = range.first_sink;
    return range;
}

size_t moult_attention_backward(const struct moult_attention_backward *job) {
    const struct moult_attention *forward = &job->forward;
    const int64_t heads = forward->batch * forward->key_value_heads;
    if (heads == 0) return 0;
    const int64_t group = forward->heads / forward->key_value_heads;
    struct plan plan = {.job = job, .kernels = moult_kernels()};

    // A window shorter than a block would be mostly masked.
    int64_t tokens = group > 0 ? least(block_rows / group, block_tokens) : block_tokens;
    if (tokens > forward->window / 2) tokens = forward->window / 2;
    if (tokens < 16) tokens = 16;
    if (tokens * group > block_rows) tokens = block_rows / group;
    plan.tokens = tokens < 1 ? 1 : tokens;

    // By the shape alone: the number of threads must not change the sums.
    plan.count = least((most_tasks + heads - 1) / heads, forward->queries / range_queries);
    if (plan.count < 1) plan.count = 1;
    const int64_t ranges = heads * plan.count, row = plan.kernels->attention_backward_row(forward);
    size_t floats = 0, table = ((size_t)ranges * sizeof *plan.ranges + 63) / 64 * 64;
    for (int64_t index = 0; index < ranges; index++) {
        const struct moult_attention_range range = range_at(&plan, index);
        floats += (size_t)(moult_range_rows(&range) * row);
    }
    const size_t needed = table + floats * sizeof(float);
    char *memory = moult_call_scratch(needed);
    if (!memory) return needed;
    plan.ranges = (struct moult_attention_range *)(void *)memory;
    float *sums = (float *)(void *)(memory + table);
    for (int64_t index = 0; index < ranges; index++) {
        plan.ranges[index] = range_at(&plan, index);
        plan.ranges[index].sums = sums;
        sums += moult_range_rows(&plan.ranges[index]) * row;
    }
    moult_parallel_for(ranges, 1, range_body, &plan);
    const size_t missing = atomic_load(&plan.missing);
    if (missing) return missing;
    const int64_t collections = heads * ((forward->keys + collected_keys - 1) / collected_keys);
    moult_parallel_for(collections, 16, collect_body, &plan);
    return 0;
}
