#include "include/moult_gated_slot_attention.h"

#include <stdatomic.h>
#include <string.h>

#include "foundation/scratch.h"
#include "include/moult_pool.h"
#include "instruction_sets/kernels.h"

enum {
    blocked_tokens = 16,       // fewest tokens for which matrix products pay
    chunked_tokens = 256,      // fewest tokens that make enough chunks to share
    parallel_work = 1 << 14,   // multiplications worth a hand-off to other threads
};

struct run {
    const struct moult_gated_slot_attention *job;
    const struct moult_kernels *kernels;
    // The chunked form's segment: tokens [begin, end), a boundary state per head and chunk and one more at the end.
    int64_t begin, end, chunks, slots_per_task;
    float *boundaries;
    atomic_size_t missing;  // bytes of scratch that could not be had
};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static float *boundary(const struct run *run, int64_t head, int64_t chunk) {
    return run->boundaries + (head * (run->chunks + 1) + chunk) * run->kernels->slot_boundary(run->job);
}

static void recurrent_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    float *scratch = moult_task_scratch(run->kernels->slot_recurrent_scratch(run->job), &run->missing);
    for (int64_t head = begin; scratch && head < end; head++) {
        run->kernels->slot_recurrent(
            run->job, head / run->job->key_value_heads, head % run->job->key_value_heads, scratch);
    }
}

static void blocked_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    float *scratch = moult_task_scratch(run->kernels->slot_span_scratch(run->job), &run->missing);
    for (int64_t head = begin; scratch && head < end; head++) {
        run->kernels->slot_span(
            run->job, head / run->job->key_value_heads, head % run->job->key_value_heads, 0, run->job->tokens, NULL,
            scratch);
    }
}

static void advance_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    const struct moult_gated_slot_attention *job = run->job;
    float *scratch = moult_task_scratch(run->kernels->slot_advance_scratch(job), &run->missing);
    const int64_t blocks = (job->slots + run->slots_per_task - 1) / run->slots_per_task;
    for (int64_t task = begin; scratch && task < end; task++) {
        const int64_t head = task / blocks, slot = task % blocks * run->slots_per_task;
        run->kernels->slot_advance(
            job, head / job->key_value_heads, head % job->key_value_heads, run->begin, run->end, slot,
            least(run->slots_per_task, job->slots - slot), boundary(run, head, 0), scratch);
    }
}

static void chunk_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    const struct moult_gated_slot_attention *job = run->job;
    float *scratch = moult_task_scratch(run->kernels->slot_span_scratch(job), &run->missing);
    for (int64_t task = begin; scratch && task < end; task++) {
        const int64_t head = task / run->chunks, chunk = task % run->chunks;
        const int64_t first = run->begin + chunk * moult_slot_chunk;
        run->kernels->slot_span(
            job, head / job->key_value_heads, head % job->key_value_heads, first,
            least(first + moult_slot_chunk, run->end), boundary(run, head, chunk), scratch);
    }
}

/// Segment by segment, so that memory does not grow with the tokens: the states at the chunks' boundaries, one after the
/// other but all slots at once, then the outputs of all chunks at once.
static size_t run_chunked(struct run *run) {
    const struct moult_gated_slot_attention *job = run->job;
    const int64_t heads = job->batch * job->key_value_heads, threads = moult_thread_count();
    const int64_t all = (job->tokens + moult_slot_chunk - 1) / moult_slot_chunk;
    int64_t chunks = (16 * threads + heads - 1) / heads;
    if (chunks < 4) chunks = 4;
    run->chunks = least(chunks, all);
    const int64_t blocks = (4 * threads + heads - 1) / heads;
    run->slots_per_task = ((job->slots + blocks - 1) / blocks + 15) / 16 * 16;
    const int64_t tasks = heads * ((job->slots + run->slots_per_task - 1) / run->slots_per_task);

    const int64_t size = run->kernels->slot_boundary(job);
    const size_t needed = (size_t)(heads * (run->chunks + 1) * size) * sizeof(float);
    run->boundaries = moult_call_scratch(needed);
    if (!run->boundaries) return needed;
    const int64_t capacity = run->chunks;
    for (int64_t head = 0; head < heads; head++) {
        run->kernels->slot_load_boundary(
            job, head / job->key_value_heads, head % job->key_value_heads, boundary(run, head, 0));
    }
    for (run->begin = 0; run->begin < job->tokens; run->begin = run->end) {
        run->end = least(run->begin + capacity * moult_slot_chunk, job->tokens);
        const int64_t used = (run->end - run->begin + moult_slot_chunk - 1) / moult_slot_chunk;
        if (used < run->chunks) {
            // The last segment's heads lie closer together: move the states that the previous one left.
            for (int64_t head = 1; head < heads; head++) {
                memmove(
                    run->boundaries + head * (used + 1) * size, boundary(run, head, 0), (size_t)size * sizeof(float));
            }
            run->chunks = used;
        }
        moult_parallel_for(tasks, 1, advance_body, run);
        moult_parallel_for(heads * run->chunks, 1, chunk_body, run);
        const size_t missing = atomic_load(&run->missing);
        if (missing) return missing;
        for (int64_t head = 0; head < heads; head++) {
            memcpy(boundary(run, head, 0), boundary(run, head, run->chunks), (size_t)size * sizeof(float));
        }
    }
    for (int64_t head = 0; head < heads; head++) {
        run->kernels->slot_store_boundary(
            job, head / job->key_value_heads, head % job->key_value_heads, boundary(run, head, 0));
    }
    return 0;
}

static enum moult_gated_slot_form fastest(const struct moult_gated_slot_attention *job) {
    const int64_t heads = job->batch * job->key_value_heads, threads = moult_thread_count();
    if (job->tokens < blocked_tokens) return moult_gated_slot_recurrent;
    if (job->tokens < chunked_tokens) return moult_gated_slot_blocked;
    // Products of a slot's width per token: G reads and an update; the chunked form updates twice, and waits between its
    // passes, about a tenth. The blocked form goes through the heads in rounds of one per thread.
    const int64_t group = job->heads / job->key_value_heads, rounds = (heads + threads - 1) / threads;
    const bool chunked = 10 * rounds * threads * (group + 1) > 11 * heads * (group + 2);
    return chunked ? moult_gated_slot_chunked : moult_gated_slot_blocked;
}

size_t moult_gated_slot_attention(const struct moult_gated_slot_attention *job, enum moult_gated_slot_form form) {
    const int64_t heads = job->batch * job->key_value_heads;
    if (heads == 0 || job->tokens == 0) return 0;
    if (job->slots == 0) {
        memset(job->out, 0, (size_t)(job->batch * job->tokens * job->heads * job->value_dim) * sizeof(float));
        return 0;
    }
    struct run run = {.job = job, .kernels = moult_kernels()};
    if (form == moult_gated_slot_automatic) form = fastest(job);
    if (form == moult_gated_slot_chunked) return run_chunked(&run);
    const int64_t work = heads * job->tokens * job->slots * (job->key_dim + job->value_dim);
    moult_parallel_for(
        heads, work < parallel_work ? heads : 1,
        form == moult_gated_slot_recurrent ? recurrent_body : blocked_body, &run);
    return atomic_load(&run.missing);
}
