#include <stdatomic.h>
#include <string.h>

#include "include/moult_gated_slot_attention.h"
#include "foundation/scratch.h"
#include "include/moult_pool.h"
#include "instruction_sets/kernels.h"

enum { fewest_chunks = 4 };  // chunks of a segment, so that sharing them pays

struct run {
    const struct moult_gated_slot_attention_backward *job;
    const struct moult_kernels *kernels;
    int64_t chunks;                    // of a head
    int64_t boundary, adjoint, trace;  // floats of a state, its gradient and a chunk's trace
    float *boundaries;  // states before each chunk and after the last, head by head
    float *adjoints;    // gradient of the state between the chunks done and those to do, of each head
    // A segment: chunks [first, first + count) of every head, whose traces are there at once.
    int64_t first, count;
    float *traces;
    atomic_size_t missing;  // bytes of scratch that could not be had
};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/// Rounded up so that what follows starts at a multiple of 64 bytes.
static int64_t aligned(int64_t count) { return (count + 15) / 16 * 16; }

static void recall(const struct run *run, int64_t head, int64_t chunk, float *trace, float *scratch) {
    const struct moult_gated_slot_attention *forward = &run->job->forward;
    const int64_t first = chunk * moult_slot_chunk;
    run->kernels->slot_recall(
        run->job, head / forward->key_value_heads, head % forward->key_value_heads, first,
        least(first + moult_slot_chunk, forward->tokens),
        run->boundaries + (head * (run->chunks + 1) + chunk) * run->boundary, trace, scratch);
}

/// After the chunk's `recall`, and the chunks from the last to the first.
static void give_back(const struct run *run, int64_t head, int64_t chunk, const float *trace, float *scratch) {
    const struct moult_gated_slot_attention *forward = &run->job->forward;
    const int64_t first = chunk * moult_slot_chunk;
    run->kernels->slot_return(
        run->job, head / forward->key_value_heads, head % forward->key_value_heads, first,
        least(first + moult_slot_chunk, forward->tokens),
        run->boundaries + (head * (run->chunks + 1) + chunk + 1) * run->boundary, trace,
        run->adjoints + head * run->adjoint, scratch);
}

/// States at the chunks' boundaries, one key/value head after the other.
static void advance_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    const struct moult_gated_slot_attention *forward = &run->job->forward;
    float *scratch = moult_task_scratch(run->kernels->slot_advance_scratch(forward), &run->missing);
    for (int64_t task = begin; scratch && task < end; task++) {
        const int64_t batch = task / forward->key_value_heads, head = task % forward->key_value_heads;
        float *states = run->boundaries + task * (run->chunks + 1) * run->boundary;
        run->kernels->slot_load_boundary(forward, batch, head, states);
        run->kernels->slot_advance(forward, batch, head, 0, forward->tokens, 0, forward->slots, states, scratch);
        run->kernels->slot_load_adjoint(run->job, batch, head, run->adjoints + task * run->adjoint);
    }
}

/// All chunks of a key/value head, each trace used while it is in cache.
static void head_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    const struct moult_gated_slot_attention *forward = &run->job->forward;
    float *trace = moult_task_scratch(
        run->trace
            + larger(run->kernels->slot_recall_scratch(forward), run->kernels->slot_return_scratch(forward)),
        &run->missing);
    for (int64_t head = begin; trace && head < end; head++) {
        for (int64_t chunk = run->chunks - 1; chunk >= 0; chunk--) {
            recall(run, head, chunk, trace, trace + run->trace);
            give_back(run, head, chunk, trace, trace + run->trace);
        }
    }
}

static void recall_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    float *scratch = moult_task_scratch(run->kernels->slot_recall_scratch(&run->job->forward), &run->missing);
    for (int64_t task = begin; scratch && task < end; task++) {
        recall(run, task / run->count, run->first + task % run->count, run->traces + task * run->trace, scratch);
    }
}

static void return_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    float *scratch = moult_task_scratch(run->kernels->slot_return_scratch(&run->job->forward), &run->missing);
    for (int64_t head = begin; scratch && head < end; head++) {
        for (int64_t i = run->count - 1; i >= 0; i--) {
            give_back(run, head, run->first + i, run->traces + (head * run->count + i) * run->trace, scratch);
        }
    }
}

/// Where heads alone would leave threads idle, the chunks of a segment are recalled at once, about 60% of the work. Both
/// ways compute the same, to the bit.
static int64_t segment_chunks(const struct run *run, int64_t heads) {
    const int64_t threads = moult_thread_count(), rounds = (heads + threads - 1) / threads;
    if (10 * rounds * threads <= 11 * heads || run->chunks < fewest_chunks) return 0;
    return least(larger((16 * threads + heads - 1) / heads, fewest_chunks), run->chunks);
}

size_t moult_gated_slot_attention_backward(const struct moult_gated_slot_attention_backward *job) {
    const struct moult_gated_slot_attention *forward = &job->forward;
    const int64_t heads = forward->batch * forward->key_value_heads, rows = heads * forward->tokens;
    if (heads == 0) return 0;
    if (forward->slots == 0) {
        if (rows == 0) return 0;
        const int64_t queries = forward->batch * forward->tokens * forward->heads;
        memset(job->q_gradient, 0, (size_t)(queries * forward->key_dim) * sizeof(float));
        memset(job->k_gradient, 0, (size_t)(rows * forward->key_dim) * sizeof(float));
        memset(job->v_gradient, 0, (size_t)(rows * forward->value_dim) * sizeof(float));
        return 0;
    }
    const struct moult_kernels *kernels = moult_kernels();
    struct run run = {
        .job = job, .kernels = kernels, .chunks = (forward->tokens + moult_slot_chunk - 1) / moult_slot_chunk,
        .boundary = kernels->slot_boundary(forward), .adjoint = kernels->slot_adjoint(forward),
        .trace = aligned(kernels->slot_trace_size(forward))};
    const int64_t segment = segment_chunks(&run, heads);
    const int64_t states = heads * (run.chunks + 1) * run.boundary, adjoints = heads * run.adjoint;
    const size_t needed = (size_t)(states + adjoints + heads * segment * run.trace) * sizeof(float);
    run.boundaries = moult_call_scratch(needed);
    if (!run.boundaries) return needed;
    run.adjoints = run.boundaries + states;
    run.traces = run.adjoints + adjoints;

    moult_parallel_for(heads, 1, advance_body, &run);
    if (segment == 0) moult_parallel_for(heads, 1, head_body, &run);
    for (int64_t end = run.chunks; segment > 0 && end > 0; end = run.first) {
        run.count = least(segment, end);
        run.first = end - run.count;
        moult_parallel_for(heads * run.count, 1, recall_body, &run);
        moult_parallel_for(heads, 1, return_body, &run);
    }
    const size_t missing = atomic_load(&run.missing);
    if (missing) return missing;
    for (int64_t head = 0; head < heads; head++) {
        kernels->slot_store_adjoint(
            job, head / forward->key_value_heads, head % forward->key_value_heads, run.adjoints + head * run.adjoint);
    }
    return 0;
}
